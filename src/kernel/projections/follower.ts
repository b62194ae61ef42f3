import type { Consumer } from '../bus/consumer.ts';
import { pause, type Scheduler } from '../core/clock.ts';
import { ConflictError, DataError, MembershipLostError, toError, UnavailableError } from '../core/errors.ts';
import type { RecordedEvent } from '../core/event.ts';
import { InvariantError } from '../core/invariant.ts';
import type { RowProjection } from '../core/projection.ts';
import type { Store, Writer } from '../event-store/store.ts';
import type { Log } from '../observability/log.ts';
import { createInlineProjections } from '../processor/inline.ts';

export interface FollowerSettings {
  readonly maxBatch: number;
  readonly maxCachedRows: number;
  /** Pause after a batch, milliseconds: what comes meanwhile is one batch. */
  readonly gatherMs: number;
  /**
   * The pause after a batch of more than `busyEvents`. Longer than most aggregates take from beginning to end: then those
   * cost one row write instead of two, which under full load is a sixth of all that the database does.
   */
  readonly busyGatherMs: number;
  readonly busyEvents: number;
  readonly heartbeatMs: number;
}

/** Keeps read models up to date behind the log, with a position of their own. */
export interface Follower {
  readonly name: string;
  start(): Promise<void>;
  stop(): Promise<void>;
  lag(): Promise<number>;
  /** Milliseconds between an event and its effect here, of the last batch: the oldest event's. */
  readonly lastDelayMs: number;
}

interface Ports {
  readonly store: Store;
  readonly consumer: Consumer;
  readonly log: Log;
  readonly clock: Scheduler;
}

const RECOVERY_PAUSE_MS = 200;
/** Waits before another attempt at an event that cannot be folded for a reason that may pass. */
const RETRY_DELAYS_MS = [2_000, 4_000, 8_000];

/** Follows the log for the read models of one service: fold a batch, write each touched row once, save the position with it. */
export function createFollower(
  name: string,
  projections: readonly RowProjection[],
  settings: FollowerSettings,
  ports: Ports,
): Follower {
  const { store, consumer, log, clock } = ports;
  const fold = createInlineProjections(projections, store, settings.maxCachedRows);
  let writer: Writer;
  let stopping = false;
  let lastDelayMs = 0;
  let wake: () => void = () => undefined;
  let finished: Promise<void> = Promise.resolve();
  let endBeats: () => void = () => undefined;
  /** So many events are still taken one at a time, to find the one that cannot be folded. */
  let oneByOne = 0;
  /** Of the event that is taken alone. */
  let failures = 0;
  /** Events that cannot be folded, by id, until the position has passed them. */
  const unfit = new Set<string>();

  const waitForWork = async (): Promise<void> => {
    if (stopping || consumer.pending > 0 || consumer.needsCare) return;
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  };

  const apply = async (
    events: readonly RecordedEvent[],
    progress: NonNullable<ReturnType<Consumer['take']>>['progress'],
  ): Promise<void> => {
    const { rows, sums, committed } = await fold.writesFor(events.filter((event) => !unfit.has(event.id)));
    await writer.commit({ appends: [], rows, sums, progress });
    consumer.confirm(progress);
    committed();
    unfit.clear();
    lastDelayMs = clock.now() - events[0]!.time;
  };

  const step = async (): Promise<void> => {
    if (consumer.needsCare) await consumer.maintain();
    const taken = consumer.take(oneByOne > 0 ? 1 : settings.maxBatch);
    if (taken !== undefined && taken.events.length > 0) {
      try {
        await apply(taken.events, taken.progress);
      } catch (cause) {
        if (!passesByWaiting(cause)) await isolate(taken.events, toError(cause));
        throw cause;
      }
      oneByOne = Math.max(0, oneByOne - 1);
      failures = 0;
      await gather(taken.events.length);
      return;
    }
    const progress = consumer.idleProgress();
    if (progress === undefined) return;
    await writer.commit({ appends: [], progress });
    consumer.confirm(progress);
  };

  /** Lets events gather; for long only when there is nothing in the log to catch up with. */
  const gather = async (handled: number): Promise<void> => {
    if (oneByOne > 0 || consumer.pending >= settings.maxBatch) return;
    const busy = handled > settings.busyEvents && !consumer.needsCare;
    await pause(clock, busy ? settings.busyGatherMs : settings.gatherMs);
  };

  /** One event that cannot be folded must not keep the read model from all others: it is found, and left out. */
  const isolate = async (events: readonly RecordedEvent[], error: Error): Promise<void> => {
    const [only] = events;
    if (events.length > 1) {
      oneByOne = events.length;
      return;
    }
    const delay = RETRY_DELAYS_MS[failures++];
    if (delay !== undefined && !neverPasses(error)) return pause(clock, delay);
    unfit.add(only!.id);
    log.error(
      { projection: name, event_id: only!.id, type: only!.type, error },
      'an event does not fit the read model and is left out; after a repair: caudal projections rebuild',
    );
  };

  const recover = async (cause: unknown): Promise<void> => {
    log.warn({ projection: name, error: toError(cause) }, 'the read model waits');
    fold.clear();
    await pause(clock, RECOVERY_PAUSE_MS);
    await restart(cause instanceof MembershipLostError);
  };

  /** What was taken is lost here until the consumer is rewound: nothing else may be taken before. */
  const restart = async (membershipLost: boolean): Promise<void> => {
    while (!stopping) {
      try {
        await writer.recover();
        return await consumer.rewind(membershipLost);
      } catch (again) {
        log.warn({ projection: name, error: toError(again) }, 'the read model cannot go on yet');
        membershipLost ||= again instanceof MembershipLostError;
        await pause(clock, RECOVERY_PAUSE_MS);
      }
    }
  };

  const run = async (): Promise<void> => {
    while (!stopping) {
      await waitForWork();
      try {
        await step();
      } catch (cause) {
        if (!stopping) await recover(cause);
      }
    }
  };

  return {
    name,
    start: async () => {
      writer = await store.openWriter(name);
      consumer.onReady(() => wake());
      await consumer.start();
      endBeats = clock.every(settings.heartbeatMs, () => {
        consumer
          .heartbeat()
          .then(() => wake())
          .catch((error: Error) => log.warn({ projection: name, error }, 'heartbeat failed'));
      });
      finished = run();
    },
    stop: async () => {
      stopping = true;
      endBeats();
      wake();
      await finished;
      await consumer
        .stop()
        .catch((error: Error) => log.warn({ projection: name, error }, 'could not leave the consumer group'));
      // One that never started has none.
      await (writer as Writer | undefined)?.close();
    },
    lag: () => consumer.lag(),
    get lastDelayMs() {
      return lastDelayMs;
    },
  };
}

function passesByWaiting(cause: unknown): boolean {
  return cause instanceof UnavailableError || cause instanceof ConflictError || cause instanceof MembershipLostError;
}

function neverPasses(error: Error): boolean {
  return error instanceof DataError || error instanceof InvariantError;
}
