import { LRUCache } from 'lru-cache';
import type { Consumer } from '../bus/consumer.ts';
import type { Tail } from '../bus/tail.ts';
import { pause, type Scheduler } from '../core/clock.ts';
import { ConflictError, MembershipLostError, toError, UnavailableError } from '../core/errors.ts';
import type { EventDefinition, RecordedEvent } from '../core/event.ts';
import type { IdSource } from '../core/ids.ts';
import type { Turns } from '../core/turns.ts';
import type { Progress, Store } from '../event-store/store.ts';
import type { Log } from '../observability/log.ts';
import { createCommits, type Decided, type ProcessorObserver, type Underway } from './commits.ts';
import type { Executed, ExecuteRequest, Executor } from './execute.ts';
import type { FailureStore } from './failures.ts';
import { createInlineProjections } from './inline.ts';
import type { Item, MessageItem, RequestItem } from './items.ts';
import type { KnownRequests } from './look-back.ts';
import { createRequestQueue, failRequests } from './request-queue.ts';
import { createRetries } from './retries.ts';
import type { ServiceDefinition } from './service.ts';
import { createStateCache } from './states.ts';

export interface ProcessorSettings {
  readonly maxBatchMessages: number;
  readonly maxBatchRequests: number;
  /** So many items must wait for a batch to be decided while the one before it commits; fewer wait for more. */
  readonly minBatchAhead: number;
  /** Requests that wait at most; beyond, they are told to come back later. */
  readonly maxQueuedRequests: number;
  readonly maxCachedStreams: number;
  /** Requests between services of which it is known here whether they were answered. */
  readonly maxKnownRequests: number;
  readonly maxCachedRows: number;
  readonly snapshotEvery: number;
  /** Waiting messages (see `retries.ts`) looked at at once. */
  readonly maxWaitingRetries: number;
  readonly heartbeatMs: number;
}

export interface ProcessorPorts {
  readonly store: Store;
  readonly consumer: Consumer;
  readonly failures: FailureStore;
  readonly tail: Tail;
  readonly turns: Turns;
  readonly clock: Scheduler;
  readonly ids: IdSource;
  readonly random: () => number;
  readonly log: Log;
  readonly observer: ProcessorObserver;
  readonly catalog: ReadonlyMap<string, EventDefinition>;
  /** Told of what each batch consumed and appended, once it is committed: for what waits on the outside. */
  readonly onCommitted?: (events: readonly RecordedEvent[]) => void;
}

export interface Processor extends Executor {
  readonly service: string;
  start(): Promise<void>;
  /** Finishes what is under way, answers what waits, gives the partitions back. */
  stop(): Promise<void>;
  /** Handled and waiting, for metrics and health. */
  status(): {
    readonly queuedRequests: number;
    readonly available: boolean;
    readonly cacheHits: number;
    readonly cacheMisses: number;
    /** See `Consumer.trouble`. */
    readonly trouble: string | undefined;
  };
  lag(): Promise<number>;
  /** An operator changed what waits: look at once. */
  refreshRetries(): void;
}

const RECOVERY_PAUSE_MS = 200;
/** One that is being committed, and one that waits behind it, so that the store need not wait for us. */
const MAX_UNDER_WAY = 2;

/**
 * The batch loop of one service. While one batch commits, the next gathers; when idle, a batch of one leaves at once.
 *
 *   gather → decide → commit → settle → gather …
 *     under load: the next batch is decided on what the one under way leads to, and handed in behind it; when that is not
 *     committed, neither is the next, and it is decided anew
 *     conflict: look at the states again, decide again; the next batches take turns with those of the other processes
 *     data refused, a defect: hand the items out one by one, until the culprit stands alone; it fails, the others go on
 *     unavailable: requests are told so, messages stay in the log; wait, forget everything, go on from the saved progress
 *     membership lost: join anew, go on from what the group says
 */
export function createProcessor(
  service: ServiceDefinition,
  settings: ProcessorSettings,
  ports: ProcessorPorts,
): Processor {
  const { store, consumer, tail, clock, log, observer } = ports;
  const states = createStateCache(store, service.deciders, settings.maxCachedStreams);
  const inline = createInlineProjections(service.inline, store, settings.maxCachedRows);
  const retries = createRetries(service.name, consumer, ports.failures, clock, settings.maxWaitingRetries);
  const poisoned = new Map<string, Error>();
  const definitions = new Map(service.produces.map((definition) => [definition.type, definition]));
  const { snapshotEvery } = settings;
  const known: KnownRequests = new LRUCache<string, boolean>({ max: settings.maxKnownRequests });
  const parts = { service, definitions, states, inline, retries, poisoned, snapshotEvery, known };
  const commits = createCommits({ ...ports, ...parts });
  const queue = createRequestQueue(settings.maxQueuedRequests, clock, () => wake());
  /** The batches handed in, the oldest first. */
  let underway: Underway[] = [];
  let available = false;
  let stopping = false;
  let oneByOne = 0;
  let refreshDue = false;
  let wake: () => void = () => undefined;
  let finished: Promise<void> = Promise.resolve();
  let endBeats: () => void = () => undefined;

  const hasMessages = (): boolean => retries.due || (consumer.pending > 0 && !retries.full);

  const hasWork = (): boolean => queue.length > 0 || hasMessages() || consumer.needsCare || refreshDue;

  const waitForWork = async (): Promise<void> => {
    while (underway.length === 0 ? !hasWork() && !stopping : !underway[0]!.over && !isWorthAhead()) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };

  const gather = (): { items: Item[]; progress: Progress | undefined } => {
    // A consumer that could not be rewound any more hands out what comes after the messages that were lost with a batch.
    if (stopping) return { items: [...queue.take(oneByOne > 0 ? 1 : settings.maxBatchRequests)], progress: undefined };
    const most = oneByOne > 0 ? 1 : settings.maxBatchMessages;
    const due = retries.takeDue(most).map((retry): MessageItem => ({ kind: 'message', event: retry.event, retry }));
    if (oneByOne > 0 && due.length > 0) return { items: due, progress: consumer.progress };
    const taken = retries.full ? undefined : consumer.take(most);
    const messages = (taken?.events ?? []).map((event): MessageItem => ({ kind: 'message', event }));
    const items: Item[] = [...due, ...messages];
    if (oneByOne === 0 || items.length === 0) items.push(...queue.take(oneByOne > 0 ? 1 : settings.maxBatchRequests));
    if (items.length === 0) return { items, progress: undefined };
    return { items, progress: taken?.progress ?? (due.length > 0 ? consumer.progress : undefined) };
  };

  /** Nothing out of the ordinary goes on: the next batch may be decided before this one is committed. */
  const isPlain = (): boolean =>
    oneByOne === 0 && commits.isAlone() && retries.isEmpty && !consumer.needsCare && !refreshDue && !stopping;

  /** A message that failed blocks what follows of its key, which shows once it is settled: nothing is decided ahead of that. */
  const isWorthAhead = (): boolean =>
    isPlain() &&
    underway.length < MAX_UNDER_WAY &&
    underway.every((batch) => batch.prepared.failures.length === 0) &&
    queue.length + consumer.pending >= settings.minBatchAhead;

  const requestsOf = (items: readonly Item[]): readonly RequestItem[] =>
    items.filter((item) => item.kind === 'request');

  const recover = async (items: readonly Item[], cause: unknown): Promise<void> => {
    const error = toError(cause);
    if (error instanceof MembershipLostError) {
      log.warn({ service: service.name, error }, 'this process was taken for dead by its group; it joins again');
      queue.putBack(requestsOf(items));
      return restart(true);
    }
    if (items.length > 0 && !(error instanceof UnavailableError)) return isolate(items, error);
    if (error instanceof ConflictError) return restart(false);
    if (error instanceof UnavailableError)
      log.warn({ service: service.name, error }, 'the store is out of reach; waiting for it');
    else log.error({ service: service.name, error }, 'cannot go on; trying again');
    available = false;
    failRequests(requestsOf(items), error);
    queue.failAll(error);
    await pause(clock, RECOVERY_PAUSE_MS);
    await restart(false);
    // What was committed meanwhile, with the answer lost, was handed on to nobody.
    tail.wake();
  };

  /** Something in the batch is refused, or a defect shows in it: hand its items out again, one at a time. */
  const isolate = async (items: readonly Item[], error: Error): Promise<void> => {
    const [only] = items;
    if (items.length === 1 && only!.kind === 'request') {
      only!.reject(error);
      return restart(false);
    }
    if (items.length === 1) poisoned.set((only as MessageItem).event.id, error);
    else {
      log.warn(
        { service: service.name, error, items: items.length },
        'a batch was refused; its items are tried one by one',
      );
      oneByOne = items.length;
      queue.putBack(requestsOf(items));
    }
    await restart(false);
  };

  const restart = async (membershipLost: boolean): Promise<void> => {
    states.clear();
    inline.clear();
    known.clear();
    while (!stopping) {
      try {
        await commits.writer.recover();
        await consumer.rewind(membershipLost);
        membershipLost = false;
        await retries.refresh();
        available = true;
        return;
      } catch (cause) {
        if (cause instanceof MembershipLostError) membershipLost = true;
        else if (!(cause instanceof UnavailableError))
          log.error({ service: service.name, error: toError(cause) }, 'cannot go on yet');
        queue.failAll(toError(cause));
        await pause(clock, RECOVERY_PAUSE_MS);
      }
    }
  };

  /** Exchanges partitions and reads the log. What waits of new partitions must be known before their messages are taken. */
  const maintain = async (): Promise<void> => {
    const before = consumer.owned;
    await consumer.maintain();
    if (consumer.owned === before) return;
    known.clear();
    await retries.refresh();
  };

  const step = async (): Promise<void> => {
    const [oldest] = underway;
    if (oldest !== undefined) {
      if (oldest.over || !isWorthAhead()) await conclude(oldest);
      else await decideAhead(underway.at(-1)!);
      return;
    }
    let items: Item[] = [];
    try {
      if (!stopping) await care();
      const work = async (): Promise<void> => {
        const gathered = gather();
        items = gathered.items;
        if (items.length === 0) await saveIdleProgress();
        else if (isPlain()) start(await commits.decide(items, gathered.progress));
        else await commits.handle(items, gathered.progress);
      };
      await (consumer.pending + queue.length > 0 ? commits.inTurn(work) : work());
      // Messages that are handed out again may take a moment to come.
      if (items.length > 0 && oneByOne > 0) oneByOne -= 1;
    } catch (cause) {
      await recover(items, cause);
    }
  };

  const care = async (): Promise<void> => {
    if (refreshDue) {
      refreshDue = false;
      await retries.refresh();
    }
    if (consumer.needsCare) await maintain();
  };

  /** Commits in the background: the next batch may be gathered, and decided, meanwhile. */
  const start = (batch: Decided, before?: Underway): void => {
    const begun = commits.begin(batch, before);
    underway.push(begun);
    void begun.ended.then(() => wake());
  };

  /**
   * Waits for the oldest batch under way; when it is not committed, those behind it are dealt with too.
   * @param waiting what was gathered and is not handed in: its requests wait with the others if all begins anew
   * @returns false when all began anew from what is saved: what was taken from the bus will come again
   */
  const conclude = async (oldest: Underway, waiting: readonly Item[] = []): Promise<boolean> => {
    try {
      await commits.finish(oldest);
      underway.shift();
      return true;
    } catch (cause) {
      const behind = underway.slice(1);
      underway = [];
      // They fail with it; until they have, nothing else may be handed in.
      await Promise.all(behind.map((batch) => batch.ended));
      return decideAgain(oldest, behind, waiting, cause);
    }
  };

  /** After a conflict a batch is decided anew, and so are those behind it, one after another. @returns see `conclude` */
  const decideAgain = async (
    refused: Underway,
    behind: readonly Underway[],
    waiting: readonly Item[],
    cause: unknown,
  ): Promise<boolean> => {
    let left: readonly Underway[] = [refused, ...behind];
    try {
      if (!(cause instanceof ConflictError)) throw cause;
      observer.conflict(service.name);
      for (let conflicts = 1; left.length > 0; conflicts = 0) {
        await commits.handle(left[0]!.items, left[0]!.progress, conflicts);
        left = left.slice(1);
      }
      return true;
    } catch (error) {
      queue.putBack(requestsOf(waiting));
      for (const batch of left.slice(1).toReversed()) queue.putBack(requestsOf(batch.items));
      await recover(left[0]!.items, error);
      return false;
    }
  };

  /** Decides the next batch on what the last one under way leads to, and hands it in behind that. */
  const decideAhead = async (before: Underway): Promise<void> => {
    const { items, progress } = gather();
    if (items.length === 0) return void (await conclude(underway[0]!));
    const next = await commits.decide(items, progress, { before }).catch(() => undefined);
    if (next !== undefined) return start(next, before);
    // The error may be due to what is under way: decided anew, it shows again or not.
    while (underway.length > 0) if (!(await conclude(underway[0]!, items))) return;
    try {
      await commits.handle(items, progress);
    } catch (cause) {
      await recover(items, cause);
    }
  };

  const saveIdleProgress = async (): Promise<void> => {
    const progress = stopping ? undefined : consumer.idleProgress();
    if (progress === undefined) return;
    await commits.writer.commit({ appends: [], progress });
    consumer.confirm(progress);
  };

  const run = async (): Promise<void> => {
    while (!stopping || queue.length > 0 || underway.length > 0) {
      await waitForWork();
      await step();
    }
  };

  const beat = async (): Promise<void> => {
    try {
      await consumer.heartbeat();
      refreshDue = true;
      wake();
    } catch (cause) {
      log.warn({ service: service.name, error: toError(cause) }, 'heartbeat failed');
    }
  };

  const execute = async <Answer>(request: ExecuteRequest<Answer>): Promise<Executed<Answer>> => {
    if (!available || stopping) throw new UnavailableError('the store is out of reach');
    return queue.ask(request);
  };

  return {
    service: service.name,
    execute,
    load: async <State>(aggregate: string, id: string) => {
      const ref = { type: aggregate, id };
      commits.doubtWhatOthersChange();
      const found = states.get(ref) ?? (await states.load([ref]))[0]!;
      return { state: found.state as State, position: found.position };
    },
    start: async () => {
      await commits.open();
      consumer.onReady(() => wake());
      await consumer.start();
      await retries.refresh();
      available = true;
      endBeats = clock.every(settings.heartbeatMs, () => void beat());
      finished = run();
    },
    stop: async () => {
      stopping = true;
      endBeats();
      wake();
      await finished;
      queue.failAll(new Error('the server is stopping'));
      try {
        await consumer.stop();
      } catch (cause) {
        log.warn(
          { service: service.name, error: toError(cause) },
          'could not leave the consumer group; another process takes over after the lease',
        );
      }
      await commits.close();
    },
    status: () => ({
      queuedRequests: queue.length,
      available,
      cacheHits: states.counts.hits,
      cacheMisses: states.counts.misses,
      trouble: consumer.trouble,
    }),
    lag: () => consumer.lag(),
    refreshRetries: () => {
      refreshDue = true;
      wake();
    },
  };
}
