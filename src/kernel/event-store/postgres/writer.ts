import type { Clock } from '../../core/clock.ts';
import { BatchBeforeFailedError, ConflictError, UnavailableError } from '../../core/errors.ts';
import type { RecordedEvent } from '../../core/event.ts';
import { openPipelinedConnection, type PipelinedConnection, type Statement } from '../../postgres/pipeline.ts';
import type { Sql } from '../../postgres/sql.ts';
import { isMissingPartition, RAISED, sqlStateOf } from '../../postgres/sqlstate.ts';
import { CHAIN_START } from '../hash-chain.ts';
import { type ChainEnd, seal } from '../seal.ts';
import type { Commit, Committed, Writer } from '../store.ts';
import { monthOf } from '../store.ts';
import { appendStatements, checkStatement } from './append.ts';
import { claimChain, holdsLink, releaseSession } from './chains.ts';
import { currentMonth, enterMonth, monthStart } from './months.ts';
import { sideStatements } from './side-writes.ts';

export interface WriterSettings {
  readonly url: string;
  /** Unique among all writers: it finds this writer's session in pg_stat_activity after the connection broke. */
  readonly applicationName: string;
  /** How long a commit whose outcome is unknown waits for the database to say, milliseconds. */
  readonly resolveTimeoutMs: number;
  /** A commit that is not answered for so long is given up, and its outcome looked up, milliseconds. */
  readonly commitTimeoutMs?: number;
}

const RESOLVE_PAUSE_MS = 100;
const COMMIT_TIMEOUT_MS = 30_000;
/** What a commit without events leads to. */
const NO_CHAIN: ChainEnd = { chain: 0, position: 0, hash: CHAIN_START };

/** A batch sealed for a place in the chain, and what appends it there. */
interface Sealed {
  readonly from: ChainEnd;
  readonly events: readonly RecordedEvent[];
  readonly end: ChainEnd;
  readonly statements: readonly Statement[];
}

/** A commit that has not ended yet. */
interface Underway {
  committed: Promise<Committed> | undefined;
  /** Where the chain stands once it is in; undefined: it is not sent yet, or adds nothing to the chain. */
  end: ChainEnd | undefined;
}

interface Session {
  readonly connection: PipelinedConnection;
  /** Undefined until the first commit that needs a chain: a writer that only saves progress uses none up. */
  end: ChainEnd | undefined;
}

/**
 * The writer of one chain. Its state machine: no session → (open a connection) → session → (first commit of events
 * or sums: claim a chain) → a commit moves the chain's end; a broken connection → no session, and if a commit was under
 * way, `settle` finds out what became of it by looking for its last link in the chain.
 *
 * A commit of events that goes on from one under way is sealed for where that one will end, and sent right behind it:
 * PostgreSQL goes on without waiting for us, and refuses it when the chain does not end there. What adds no events would
 * not be refused; it waits until the one before it has succeeded.
 */
export function createWriter(settings: WriterSettings, sql: Sql, clock: Clock): Writer {
  let session: Session | undefined;
  let month = 0;
  let lostPid: number | undefined;
  /** The commit that was handed in last. */
  let underway: Underway | undefined;

  const open = async (): Promise<Session> => {
    if (session !== undefined && !session.connection.broken) return session;
    await drop();
    await endLostSession();
    const timeoutMs = settings.commitTimeoutMs ?? COMMIT_TIMEOUT_MS;
    const connection = await openPipelinedConnection(settings.url, settings.applicationName, timeoutMs);
    session = { connection, end: undefined };
    return session;
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

  const enter = async (now: number): Promise<void> => {
    const wanted = Math.max(monthOf(now), month);
    if (wanted === month) return;
    month = await enterMonth(sql, wanted);
  };

  const sealAt = (commit: Commit, from: ChainEnd): Sealed => {
    const storedAt = Math.min(Math.max(clock.now(), monthStart(month)), monthStart(month + 1) - 1);
    const batch = seal(commit.appends, from, storedAt);
    const appends = batch.events.length === 0 ? [] : appendStatements(commit.appends, batch, from, month);
    const { seen = [] } = commit;
    const checks = seen.length === 0 ? [] : [checkStatement(seen)];
    const statements = [...checks, ...appends, ...sideStatements(commit, from.chain)];
    // The texts stand in the statements now; held on to, they would outlive several collections of garbage.
    return { from, events: batch.events, end: batch.end, statements };
  };

  const send = async (commit: Commit, own: Underway): Promise<Committed> => {
    const current = await open();
    if (commit.appends.length > 0) await enter(clock.now());
    if (needsChain(commit)) current.end ??= await claimChain(current.connection);
    return transact(current, commit, sealAt(commit, current.end ?? NO_CHAIN), own);
  };

  const transact = async (
    current: Session,
    commit: Commit,
    sealed: Sealed,
    own: Underway,
    before?: Underway,
  ): Promise<Committed> => {
    const { from, events, end, statements } = sealed;
    if (events.length > 0) own.end = end;
    const storedIn = month;
    try {
      if (statements.length > 0) await current.connection.transaction(statements);
    } catch (cause) {
      own.end = undefined;
      if (before !== undefined) {
        await success(before.committed);
        // The one before it had to be sealed anew: this one was sent to follow a link that never came to be.
        if (before.end?.hash !== from.hash) return send(commit, own);
      }
      return recover(cause, commit, sealed, own);
    }
    if (current.end !== undefined) current.end = end;
    return { chain: from.chain, events, month: storedIn };
  };

  const handIn = async (batch: Commit, own: Underway, before: Underway | undefined): Promise<Committed> => {
    try {
      if (batch.appends.some((append) => append.events.length === 0))
        throw new ConflictError('an append without events');
      if (before !== undefined && before.committed === batch.after) return await sendBehind(before, batch, own);
      await success(batch.after);
      if (before !== undefined) await end(before);
      return await send(batch, own);
    } catch (cause) {
      // It ends no earlier than the one before it: what comes next waits for it alone.
      if (before !== undefined) await end(before);
      throw cause;
    }
  };

  /** Goes on from a commit that is under way: behind it where it can be refused with it, else after it. */
  const sendBehind = async (before: Underway, commit: Commit, own: Underway): Promise<Committed> => {
    const canBeRefused = commit.appends.length > 0 && monthOf(clock.now()) <= month;
    if (canBeRefused && before.end !== undefined && session !== undefined && !session.connection.broken)
      return transact(session, commit, sealAt(commit, before.end), own, before);
    await success(before.committed);
    return send(commit, own);
  };

  /** Mends what concerns only the writer and sends again; else the error is the caller's. */
  const recover = async (cause: unknown, batch: Commit, sealed: Sealed, own: Underway): Promise<Committed> => {
    const state = sqlStateOf((cause as Error).cause);
    if (state === RAISED.monthClosed) {
      month = await currentMonth(sql);
      return send(batch, own);
    }
    if (isMissingPartition((cause as Error).cause)) {
      month = await enterMonth(sql, month);
      return send(batch, own);
    }
    if (state === RAISED.chainMoved) {
      await drop();
      return send(batch, own);
    }
    if (!(cause instanceof UnavailableError)) throw cause;
    await drop();
    if (sealed.events.length > 0 && (await settle(sealed.end))) {
      own.end = sealed.end;
      return { chain: sealed.end.chain, events: sealed.events, month };
    }
    throw cause;
  };

  /** After a break in mid-commit: true when the commit is in the log. Ends the old session first, so that it cannot commit later. */
  const settle = async (end: ChainEnd): Promise<boolean> => {
    const deadline = performance.now() + settings.resolveTimeoutMs;
    for (;;) {
      try {
        await endLostSession();
        return await holdsLink(sql, end);
      } catch (cause) {
        if (!(cause instanceof UnavailableError) || performance.now() >= deadline) throw cause;
        await new Promise((resolve) => setTimeout(resolve, RESOLVE_PAUSE_MS));
      }
    }
  };

  return {
    commit: (batch) => {
      const before = underway;
      const own: Underway = { committed: undefined, end: undefined };
      const committed = handIn(batch, own, before);
      own.committed = committed;
      underway = own;
      void end(own).then(() => {
        if (underway === own) underway = undefined;
      });
      return committed;
    },
    recover: async () => {
      await open();
    },
    close: drop,
  };
}

/** Sums are kept apart by the chain's number. */
function needsChain(batch: Commit): boolean {
  return batch.appends.length > 0 || (batch.sums?.some((sum) => sum.rows.length > 0) ?? false);
}

/** @throws BatchBeforeFailedError when the commit failed */
async function success(committed: Promise<unknown> | undefined): Promise<void> {
  await committed?.catch((cause: unknown) => {
    throw new BatchBeforeFailedError('the batch before this one took no effect', { cause });
  });
}

async function end({ committed }: Underway): Promise<void> {
  await committed?.catch(() => undefined);
}
