import type { Clock } from '../../core/clock.ts';
import { sessionName } from '../../postgres/sessions.ts';
import type { Sql } from '../../postgres/sql.ts';
import type { Store } from '../store.ts';
import { findAnswers, loadRows, loadStreams, readHead, readLog, readStream } from './read.ts';
import { createWriter } from './writer.ts';

export interface PostgresStoreSettings {
  readonly url: string;
  /** Part of each writer's session name, unique per process. */
  readonly instance: string;
  /** How long a commit whose outcome is unknown waits for the database to say, milliseconds. */
  readonly resolveTimeoutMs: number;
  /** A commit that is not answered for so long is given up, and its outcome looked up, milliseconds. Default 30,000. */
  readonly commitTimeoutMs?: number;
}

/** The event store on PostgreSQL. Reads go through the pool; each writer has a connection of its own. */
export function createPostgresStore(settings: PostgresStoreSettings, sql: Sql, clock: Clock): Store {
  return {
    openWriter: async (name) => {
      const applicationName = sessionName(name, settings.instance);
      const writer = createWriter({ ...settings, applicationName }, sql, clock);
      await writer.recover();
      return writer;
    },
    loadStreams: (streams) => (streams.length === 0 ? Promise.resolve([]) : loadStreams(sql, streams)),
    readStream: (stream, options) => readStream(sql, stream, options),
    readLog: (after, options) => readLog(sql, after, options),
    head: () => readHead(sql),
    findAnswers: (keys) => (keys.length === 0 ? Promise.resolve([]) : findAnswers(sql, keys)),
    loadRows: (table, keys) => (keys.length === 0 ? Promise.resolve([]) : loadRows(sql, table, keys)),
  };
}
