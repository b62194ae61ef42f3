import type { Clock } from '../../core/clock.ts';
import { ConflictError, UnavailableError } from '../../core/errors.ts';
import { openPipelinedConnection, type PipelinedConnection, type Statement } from '../../postgres/pipeline.ts';
import type { Sql } from '../../postgres/sql.ts';
import { isMissingPartition, RAISED, sqlStateOf } from '../../postgres/sqlstate.ts';
import type { Commit, Committed, Writer } from '../store.ts';
import { monthOf } from '../store.ts';
import { appendStatements, type ChainEnd, type SealedBatch, seal } from './append.ts';
import { claimChain, fetchChainEnd, releaseSession } from './chains.ts';
import { currentMonth, enterMonth, monthStart } from './months.ts';
import { sideStatements } from './side-writes.ts';

export interface WriterSettings {
  readonly url: string;
  /** Unique among all writers: it finds this writer's session in pg_stat_activity after the connection broke. */
  readonly applicationName: string;
  /** How long a commit whose outcome is unknown waits for the database to say, milliseconds. */
  readonly resolveTimeoutMs: number;
}

const RESOLVE_PAUSE_MS = 100;

interface Session {
  readonly connection: PipelinedConnection;
  end: ChainEnd;
}

/**
 * The writer of one chain. Its state machine: no session → (open a connection, claim a chain) → session; a commit moves
 * the chain's end; a broken connection → no session, and if a commit was under way, `settle` finds out what became of it
 * by comparing the chain's end with what the commit would have made it.
 */
export function createWriter(settings: WriterSettings, sql: Sql, clock: Clock): Writer {
  let session: Session | undefined;
  let month = 0;
  let lostPid: number | undefined;

  const open = async (): Promise<Session> => {
    if (session !== undefined && !session.connection.broken) return session;
    await drop();
    await endLostSession();
    const connection = await openPipelinedConnection(settings.url, settings.applicationName);
    try {
      session = { connection, end: await claimChain(connection) };
      return session;
    } catch (cause) {
      await connection.close().catch(() => undefined);
      throw cause;
    }
  };

  const drop = async (): Promise<void> => {
    const dropped = session;
    session = undefined;
    if (dropped === undefined) return;
    lostPid = dropped.connection.pid;
    if (!dropped.connection.broken) await dropped.connection.close().catch(() => undefined);
  };

  const endLostSession = async (): Promise<void> => {
    if (lostPid === undefined) return;
    await releaseSession(sql, lostPid, settings.applicationName);
    lostPid = undefined;
  };

  const enter = async (): Promise<void> => {
    const wanted = Math.max(monthOf(clock.now()), month);
    if (wanted === month) return;
    month = await enterMonth(sql, wanted);
  };

  const send = async (batch: Commit): Promise<Committed> => {
    const current = await open();
    if (batch.appends.length > 0) await enter();
    const sealed = seal(batch.appends, current.end);
    const storedAt = Math.max(clock.now(), monthStart(month));
    const side = sideStatements(batch, current.end.chain);
    const statements: readonly Statement[] =
      sealed.events.length === 0
        ? side
        : [...appendStatements(batch.appends, sealed, current.end, month, storedAt), ...side];
    try {
      if (statements.length > 0) await current.connection.transaction(statements);
    } catch (cause) {
      return recover(cause, batch, sealed, current);
    }
    current.end = sealed.end;
    return { chain: sealed.end.chain, events: sealed.events, month };
  };

  /** Mends what concerns only the writer and sends again; else the error is the caller's. */
  const recover = async (cause: unknown, batch: Commit, sealed: SealedBatch, on: Session): Promise<Committed> => {
    const state = sqlStateOf((cause as Error).cause);
    if (state === RAISED.monthClosed) {
      month = await currentMonth(sql);
      return send(batch);
    }
    if (isMissingPartition((cause as Error).cause)) {
      month = await enterMonth(sql, month);
      return send(batch);
    }
    if (state === RAISED.chainMoved) {
      await drop();
      return send(batch);
    }
    if (!(cause instanceof UnavailableError)) throw cause;
    await drop();
    if (sealed.events.length > 0 && (await settle(sealed, on.end.chain))) {
      return { chain: sealed.end.chain, events: sealed.events, month };
    }
    throw cause;
  };

  /** After a break in mid-commit: true when the commit is in the log. Ends the old session first, so that it cannot commit later. */
  const settle = async (sealed: SealedBatch, chain: number): Promise<boolean> => {
    const deadline = clock.now() + settings.resolveTimeoutMs;
    for (;;) {
      try {
        await endLostSession();
        const end = await fetchChainEnd(sql, chain);
        return end.position === sealed.end.position && end.hash === sealed.end.hash;
      } catch (cause) {
        if (!(cause instanceof UnavailableError) || clock.now() >= deadline) throw cause;
        await new Promise((resolve) => setTimeout(resolve, RESOLVE_PAUSE_MS));
      }
    }
  };

  return {
    commit: async (batch) => {
      if (batch.appends.some((append) => append.events.length === 0))
        throw new ConflictError('an append without events');
      return send(batch);
    },
    recover: async () => {
      await open();
    },
    close: drop,
  };
}
