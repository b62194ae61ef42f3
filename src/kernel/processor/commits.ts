import type { Tail } from '../bus/tail.ts';
import { ConflictError, toError, UnavailableError } from '../core/errors.ts';
import type { RecordedEvent } from '../core/event.ts';
import type { Turns } from '../core/turns.ts';
import type { Committed, Progress, Writer } from '../event-store/store.ts';
import type { Log } from '../observability/log.ts';
import { type BatchBefore, type BatchPorts, type PreparedBatch, prepareBatch } from './batch.ts';
import type { Item } from './items.ts';

/** What a processor tells of each batch, for metrics. */
export interface ProcessorObserver {
  batch(info: {
    readonly service: string;
    readonly messages: number;
    readonly requests: number;
    readonly events: number;
    readonly ms: number;
  }): void;
  failure(info: { readonly service: string; readonly topic: string; readonly dead: boolean }): void;
  conflict(service: string): void;
}

/** A batch that is decided and not handed in. */
export interface Decided {
  readonly items: readonly Item[];
  readonly progress: Progress | undefined;
  readonly started: number;
  readonly prepared: PreparedBatch;
}

/** A batch that is being committed. */
export interface Underway extends Decided, BatchBefore {
  readonly committed: Promise<Committed | undefined>;
  readonly ended: Promise<void>;
  /** True once it has ended. */
  over: boolean;
}

export interface CommitPorts extends BatchPorts {
  readonly tail: Tail;
  readonly turns: Turns;
  readonly log: Log;
  readonly observer: ProcessorObserver;
  /** Told of what each batch consumed and appended, once it is committed: for what waits on the outside. */
  readonly onCommitted?: (events: readonly RecordedEvent[]) => void;
}

/** The steps of a batch, from its items to what is known of it afterwards. */
export interface Commits {
  open(): Promise<void>;
  readonly writer: Writer;
  /** Also after an `open` that failed. */
  close(): Promise<void>;
  /** False while other processes write, and until the states that may be behind since then are doubted. */
  isAlone(): boolean;
  /** To be called before a state in memory is relied on. */
  doubtWhatOthersChange(): void;
  /**
   * Decides a batch.
   * @param how `again`: after a conflict; `before`: on what the batch under way leads to
   * @throws UnavailableError when states cannot be loaded
   */
  decide(
    items: readonly Item[],
    progress: Progress | undefined,
    how?: { readonly again?: boolean; readonly before?: Underway },
  ): Promise<Decided>;
  /**
   * Runs the work, after a conflict here or in another process in turn with the other processes of the service: what comes while it
   * waits is handled with the rest, where otherwise all but one would decide in vain.
   */
  inTurn(work: () => Promise<void>): Promise<void>;
  /** Hands the batch to the store. @param before the batch that it was decided on */
  begin(batch: Decided, before?: Underway): Underway;
  /** Waits for the commit and makes known what it did. @throws what the store says of it: then nothing took effect */
  finish(batch: Underway): Promise<void>;
  /**
   * All of it, looking at the states anew after each conflict.
   * @param conflicts how many there were already
   * @throws UnavailableError when there are too many
   */
  handle(items: readonly Item[], progress: Progress | undefined, conflicts?: number): Promise<void>;
}

const MAX_CONFLICTS = 50;
/** So many batches are handled in turn after a conflict: processes that write to the same streams go on to do so. */
const BATCHES_IN_TURN = 50;

export function createCommits(ports: CommitPorts): Commits {
  const { service, store, states, consumer, tail, log, observer } = ports;
  let writer: Writer;
  let shared = false;
  let turnsLeft = 0;
  let hasTurn = false;

  /**
   * While other processes write, a state in memory may be behind its stream; so may it right after they have left. An
   * append would be refused then, but a decision that appends nothing would go unnoticed: a message lost, a wrong refusal.
   */
  const doubtWhatOthersChange = (): void => {
    if (shared || !tail.alone) states.doubt();
    shared = !tail.alone;
  };

  const decide: Commits['decide'] = async (items, progress, { again = false, before } = {}) => {
    const started = performance.now();
    if (before === undefined) doubtWhatOthersChange();
    const prepared = await prepareBatch(items, progress, again, ports, before);
    return { items, progress, started, prepared };
  };

  const begin: Commits['begin'] = (batch, before) => {
    const { empty, commit } = batch.prepared;
    const whole = before === undefined ? commit : { ...commit, after: before.committed };
    const committed = empty ? Promise.resolve(undefined) : writer.commit(whole);
    const end = (): void => {
      underway.over = true;
    };
    const underway: Underway = { ...batch, committed, ended: committed.then(end, end), over: false };
    return underway;
  };

  const finish = async (batch: Underway): Promise<void> => {
    const { items, progress, started, prepared } = batch;
    const committed = await batch.committed.catch((cause) => {
      if (cause instanceof ConflictError) states.doubt();
      else for (const ref of prepared.touched) states.delete(ref);
      throw cause;
    });
    if (progress !== undefined) consumer.confirm(progress);
    if (committed !== undefined) makeKnown(prepared, committed);
    prepared.settle(committed);
    reportFailures(prepared);
    const requests = items.reduce((count, item) => count + (item.kind === 'request' ? 1 : 0), 0);
    observer.batch({
      service: service.name,
      messages: items.length - requests,
      requests,
      events: committed?.events.length ?? 0,
      ms: performance.now() - started,
    });
  };

  /** Whoever listens may fail: the batch is committed all the same. */
  const makeKnown = (prepared: PreparedBatch, committed: Committed): void => {
    try {
      tail.publish(committed);
      ports.onCommitted?.([...prepared.consumed, ...committed.events]);
    } catch (cause) {
      log.error({ service: service.name, error: toError(cause) }, 'a listener to what is committed failed');
    }
  };

  const reportFailures = (prepared: PreparedBatch): void => {
    for (const { failed, error } of prepared.failures) {
      const dead = failed.retryAt === undefined;
      observer.failure({ service: service.name, topic: failed.topic, dead });
      const fields = {
        service: service.name,
        event_id: failed.eventId,
        topic: failed.topic,
        attempts: failed.attempts,
        error,
      };
      if (dead) log.error(fields, `message went to ${failed.dlqTopic}; see caudal dlq show`);
      else log.warn(fields, 'message could not be handled and will be tried again');
    }
  };

  const inTurn: Commits['inTurn'] = async (work) => {
    if (hasTurn) return work();
    // Who wins every conflict learns of them from those who lose.
    if (turnsLeft === 0 && !tail.alone && (await ports.turns.taken(service.name))) turnsLeft = BATCHES_IN_TURN;
    if (turnsLeft === 0) return work();
    turnsLeft -= 1;
    hasTurn = true;
    try {
      await ports.turns.take(service.name, work);
    } finally {
      hasTurn = false;
    }
  };

  return {
    open: async () => {
      writer = await store.openWriter(service.name);
    },
    get writer() {
      return writer;
    },
    close: async () => {
      // One whose start failed has none.
      await (writer as Writer | undefined)?.close();
    },
    isAlone: () => tail.alone && !shared,
    doubtWhatOthersChange,
    decide,
    begin,
    finish,
    inTurn,
    handle: async (items, progress, conflicts = 0) => {
      for (; ; conflicts++) {
        const attempt = async () => finish(begin(await decide(items, progress, { again: conflicts > 0 })));
        try {
          return await (conflicts > 0 ? inTurn(attempt) : attempt());
        } catch (cause) {
          if (!(cause instanceof ConflictError)) throw cause;
          observer.conflict(service.name);
          turnsLeft = BATCHES_IN_TURN;
          if (conflicts >= MAX_CONFLICTS)
            throw new UnavailableError('too many conflicts with other processes', { cause });
        }
      }
    },
  };
}
