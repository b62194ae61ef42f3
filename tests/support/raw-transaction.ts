import type { TestContext } from 'node:test';
import pg from 'pg';
import { monthOf, type StreamRef } from '#kernel/event-store/store.ts';
import { connectionOptions } from '#kernel/postgres/driver.ts';
import { onEnd } from './cleanup.ts';

/** A session that appends by hand, with the functions that writers use, and takes its time. */
export interface RawTransaction {
  /** Begins, and does what a writer does first: takes a chain and holds the months as they are. */
  begin(): Promise<void>;
  insert(stream: StreamRef, streamPosition: number): Promise<void>;
  commit(): Promise<void>;
}

/** @param storedAt milliseconds since 1970: the month it appends into must have a partition */
export async function openRawTransaction(t: TestContext, url: string, storedAt: number): Promise<RawTransaction> {
  const client = new pg.Client(connectionOptions(url, 'raw'));
  client.on('error', (error) => t.diagnostic(error.message));
  await client.connect();
  onEnd(t, () => client.end());
  let end = { chain: 0, position: 0 };
  return {
    begin: async () => {
      end = (await client.query('SELECT chain, position FROM claim_chain()')).rows[0];
      await client.query('BEGIN');
      await client.query('SELECT begin_append($1, $2, $3, $4, $5)', [
        monthOf(storedAt),
        end.chain,
        end.position,
        end.position + 1,
        Buffer.alloc(32, 1),
      ]);
    },
    insert: async (stream, streamPosition) => {
      await client.query(
        `INSERT INTO events (event_id, aggregate_id, stream_position, chain_position, "timestamp", created_at, chain,
            event_version, aggregate_type, event_type, event_data, event_metadata, hash)
          VALUES (gen_random_uuid(), $1, $2, $3, $4, $4, $5, 1, $6, 'counter.added', '{}', '{}', $7)`,
        [
          stream.id,
          streamPosition,
          end.position + 1,
          new Date(storedAt).toISOString(),
          end.chain,
          stream.type,
          Buffer.alloc(32, 1),
        ],
      );
    },
    commit: async () => {
      await client.query('COMMIT');
    },
  };
}
