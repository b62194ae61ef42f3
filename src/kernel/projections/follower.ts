import type { Consumer } from '../bus/consumer.ts';
import { ConflictError, MembershipLostError, toError, UnavailableError } from '../core/errors.ts';
import type { RecordedEvent } from '../core/event.ts';
import type { RowProjection } from '../core/projection.ts';
import type { Store, Writer } from '../event-store/store.ts';
import type { Log } from '../observability/log.ts';
import { createInlineProjections } from '../processor/inline.ts';

export interface FollowerSettings {
  readonly maxBatch: number;
  readonly maxCachedRows: number;
  /**
   * Pause after a batch, milliseconds: under load, an aggregate that is created and finished within one batch costs one row
   * write instead of one per event.
   */
  readonly gatherMs: number;
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
  readonly now: () => number;
}

const RECOVERY_PAUSE_MS = 200;

/** Follows the log for the read models of one service: fold a batch, write each touched row once, save the position with it. */
export function createFollower(
  name: string,
  projections: readonly RowProjection[],
  settings: FollowerSettings,
  ports: Ports,
): Follower {
  const { store, consumer, log } = ports;
  const fold = createInlineProjections(projections, store, settings.maxCachedRows);
  let writer: Writer;
  let stopping = false;
  let lastDelayMs = 0;
  let wake: () => void = () => undefined;
  let finished: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;

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
    const writes = await fold.writesFor(events);
    await writer.commit({ appends: [], ...writes, progress });
    consumer.confirm(progress);
    fold.committed();
    lastDelayMs = ports.now() - events[0]!.time;
  };

  const step = async (): Promise<void> => {
    if (consumer.needsCare) await consumer.maintain();
    const taken = consumer.take(settings.maxBatch);
    if (taken !== undefined && taken.events.length > 0) {
      await apply(taken.events, taken.progress);
      if (consumer.pending < settings.maxBatch) await pause(settings.gatherMs);
      return;
    }
    const progress = consumer.idleProgress();
    if (progress === undefined) return;
    await writer.commit({ appends: [], progress });
    consumer.confirm(progress);
  };

  const recover = async (cause: unknown): Promise<void> => {
    const waits =
      cause instanceof UnavailableError || cause instanceof ConflictError || cause instanceof MembershipLostError;
    if (waits) log.warn({ projection: name, error: toError(cause) }, 'the read model waits');
    else
      log.error(
        { projection: name, error: toError(cause) },
        'the read model stands still; repair the cause, or rebuild it: caudal projections rebuild',
      );
    fold.clear();
    await pause(RECOVERY_PAUSE_MS);
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
        await pause(RECOVERY_PAUSE_MS);
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
      timer = setInterval(() => {
        consumer
          .heartbeat()
          .then(() => wake())
          .catch((error: Error) => log.warn({ projection: name, error }, 'heartbeat failed'));
      }, settings.heartbeatMs);
      finished = run();
    },
    stop: async () => {
      stopping = true;
      clearInterval(timer);
      wake();
      await finished;
      await consumer
        .stop()
        .catch((error: Error) => log.warn({ projection: name, error }, 'could not leave the consumer group'));
      await writer.close();
    },
    lag: () => consumer.lag(),
    get lastDelayMs() {
      return lastDelayMs;
    },
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
