import { ConflictError, MembershipLostError } from '../../core/errors.ts';
import type { SealedBatch } from '../seal.ts';
import type { Commit, FailedMessage, FailureWrites, RowWrites, StoredAnswer } from '../store.ts';
import { streamName } from '../store.ts';
import { compositeKey, innerMap, type MemoryChain, type MemoryTables } from './tables.ts';
import { frozen, requireUuid, storableJson, storableRow } from './values.ts';

/** What is left to do once nothing can be refused any more. */
export type Change = () => void;

/** @throws ConflictError when a stream is not at its expected position */
export function checkStreams(tables: MemoryTables, { appends, seen = [] }: Commit): void {
  if (appends.some(({ events }) => events.length === 0)) throw new ConflictError('an append without events');
  for (const { stream, expectedPosition } of [...seen, ...appends]) {
    requireUuid(stream.id);
    const position = tables.streams.get(streamName(stream))?.length ?? 0;
    if (position !== expectedPosition) {
      throw new ConflictError(`${streamName(stream)} is not at position ${expectedPosition}`);
    }
  }
}

/** Adds the events to their streams and to the chain. */
export function planAppend(tables: MemoryTables, chain: MemoryChain, batch: SealedBatch): Change {
  const { events, data, metadata, hashes, storedAt } = batch;
  for (const text of [...data, ...metadata]) storableJson(text);
  return () => {
    for (const [i, event] of events.entries()) {
      tables.lastSequence += 1;
      const stored = {
        event: frozen({
          ...event,
          sequence: tables.lastSequence,
          data: JSON.parse(data[i]!),
          metadata: JSON.parse(metadata[i]!),
        }),
        data: data[i]!,
        metadata: metadata[i]!,
        storedAt,
        hash: hashes[i]!,
      };
      const name = streamName({ type: event.aggregateType, id: event.aggregateId });
      const stream = tables.streams.get(name);
      if (stream === undefined) tables.streams.set(name, [stored]);
      else stream.push(stored);
      chain.events.push(stored);
    }
    chain.end = batch.end;
  };
}

/** Everything of a commit besides its events. @throws ConflictError, MembershipLostError, DataError: nothing changed */
export function planSideWrites(tables: MemoryTables, batch: Commit, stripe: number, now: number): readonly Change[] {
  return [
    ...(batch.rows ?? []).map((writes) => planRows(tables, writes)),
    ...(batch.sums ?? []).map((writes) => planSums(tables, writes, stripe)),
    ...(batch.snapshots ?? []).map((snapshot): Change => {
      const text = storableJson(JSON.stringify(snapshot));
      return () => void tables.snapshots.set(streamName(snapshot.stream), text);
    }),
    ...(batch.answers ?? []).map((answer) => planAnswer(tables, answer, now)),
    ...(batch.failures === undefined ? [] : planFailures(tables, batch.failures)),
    ...(batch.progress === undefined ? [] : [planProgress(tables, batch.progress)]),
  ];
}

function planRows(tables: MemoryTables, { table, rows }: RowWrites): Change {
  const found = innerMap(tables.rows, table.name);
  const texts = rows.map((row) => [rowKey(table.key, row), storableRow(table, row)] as const);
  return () => {
    for (const [key, text] of texts) found.set(key, text);
  };
}

function planSums(tables: MemoryTables, { table, rows }: RowWrites, stripe: number): Change {
  const found = innerMap(tables.rows, table.name);
  const changes = rows.map((row): Change => {
    const own = { ...row, stripe };
    const key = rowKey(table.key, own);
    storableRow(table, own);
    return () => {
      const before = found.get(key);
      const sum: Record<string, unknown> = before === undefined ? own : JSON.parse(before);
      if (before !== undefined) {
        for (const name of Object.keys(table.columns)) {
          if (!table.key.includes(name)) sum[name] = (sum[name] as number) + (row[name] as number);
        }
      }
      found.set(key, storableRow(table, sum));
    };
  });
  return () => {
    for (const change of changes) change();
  };
}

/** The key of a row in the maps of `MemoryTables.rows`. */
export function rowKey(columns: readonly string[], row: Readonly<Record<string, unknown>>): string {
  return compositeKey(...columns.map((column) => row[column] as string | number));
}

function planAnswer(tables: MemoryTables, answer: StoredAnswer, now: number): Change {
  const key = compositeKey(answer.scope, answer.key);
  const present = tables.answers.get(key);
  if (present !== undefined && (JSON.parse(present) as StoredAnswer).expiresAt >= now) {
    throw new ConflictError('an idempotency key is taken');
  }
  const text = storableJson(JSON.stringify(answer));
  return () => void tables.answers.set(key, text);
}

function planProgress(tables: MemoryTables, { consumer, member, value }: NonNullable<Commit['progress']>): Change {
  const found = tables.members.get(consumer)?.get(member);
  if (found === undefined) throw new MembershipLostError(`${member} is no longer a member of consumer ${consumer}`);
  return () => {
    found.progress = JSON.stringify(value);
  };
}

function planFailures(tables: MemoryTables, writes: FailureWrites): readonly Change[] {
  const settled = writes.settled.map(({ consumer, eventId }): Change => {
    const key = compositeKey(consumer, eventId);
    return () => {
      const found = tables.failures.get(key);
      if (found?.resolvedAt === undefined) tables.failures.delete(key);
      else Object.assign(found, { status: 'replayed', retryAt: undefined });
    };
  });
  return [...writes.failed.map((failed) => planFailed(tables, failed)), ...settled];
}

function planFailed(tables: MemoryTables, failed: FailedMessage): Change {
  const { event, failedAt, retryAt, ...fields } = failed;
  const status = retryAt === undefined ? ('open' as const) : ('retrying' as const);
  const text = storableJson(JSON.stringify(event));
  storableJson(JSON.stringify(fields));
  const key = compositeKey(failed.consumer, failed.eventId);
  return () => {
    const found = tables.failures.get(key);
    const again = status === 'open' && found?.resolvedAt !== undefined;
    tables.failures.set(key, {
      ...fields,
      event: text,
      count: (found?.count ?? 1) + (again ? 1 : 0),
      firstSeen: found?.firstSeen ?? failedAt,
      lastSeen: failedAt,
      retryAt,
      status,
      resolvedAt: status === 'open' ? undefined : found?.resolvedAt,
    });
  };
}
