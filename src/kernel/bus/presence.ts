import { pause, type Scheduler } from '../core/clock.ts';
import { MembershipLostError, toError, UnavailableError } from '../core/errors.ts';
import type { Log } from '../observability/log.ts';
import type { GroupStore } from './group.ts';
import type { Tail } from './tail.ts';

/** The group of all processes that write; it has no partitions. */
const PROCESSES = 'processes';

/** Knows which other processes live, and keeps `tail.alone` true to it: only who has seen no other for a lease is alone. */
export interface Presence {
  /** Enters. When others live, waits until they surely know, so that none of them still believes to be alone. */
  start(): Promise<void>;
  /**
   * To be called by whoever was put out of a group, before it goes on: the same may have happened here, and then another
   * process may believe to be alone. Resolves when all surely know again.
   * @throws UnavailableError when nobody can be told
   */
  announce(): Promise<void>;
  stop(): Promise<void>;
  /** Instances that live, this one included. */
  readonly members: readonly string[];
}

export interface PresenceSettings {
  readonly instance: string;
  readonly heartbeatMs: number;
  readonly leaseMs: number;
}

export function createPresence(
  settings: PresenceSettings,
  groups: GroupStore,
  tail: Tail,
  clock: Scheduler,
  log: Log,
  notify: () => void,
): Presence {
  let members: readonly string[] = [];
  let generation = 0;
  let member = settings.instance;
  let endBeats: () => void = () => undefined;
  let beating: Promise<void> | undefined;
  /** Whether the last look saw this process among those that live. */
  let present = false;
  /** Heartbeats in a row that saw no other process. Counted, not timed: a clock that is set makes no lease pass. */
  let lonelyBeats = 0;
  /** Resolves when all others have looked since this process entered. */
  let known: Promise<void> = Promise.resolve();

  const look = async (): Promise<void> => {
    present = false;
    const view = await groups.heartbeat(PROCESSES, member, settings.leaseMs);
    if (!view.members.includes(member)) throw new MembershipLostError(`${member} was taken for dead`);
    present = true;
    members = view.members;
    lonelyBeats = members.length === 1 ? lonelyBeats + 1 : 0;
    // Those that were put out may live all the same, when the database was out of reach for longer than a lease: they enter
    // again, and until then write what the short cut must not overtake. The first heartbeat has no time behind it.
    const alone = (lonelyBeats - 1) * settings.heartbeatMs >= settings.leaseMs;
    if (tail.alone && !alone) log.info({ instances: members.length }, 'other processes share this store');
    tail.alone = alone;
    if (!alone) tail.wake();
  };

  const enter = async (): Promise<void> => {
    tail.alone = false;
    lonelyBeats = 0;
    member = generation === 0 ? settings.instance : `${settings.instance}.${generation}`;
    generation += 1;
    await groups.join(PROCESSES, member, []);
    await look();
    if (members.length === 1) return;
    notify();
    known = pause(clock, 2 * settings.heartbeatMs);
  };

  const lookOrEnter = async (): Promise<void> => {
    try {
      await look();
    } catch (cause) {
      tail.alone = false;
      lonelyBeats = 0;
      if (cause instanceof MembershipLostError)
        await enter().catch((error: Error) => log.warn({ error }, 'cannot join the processes yet'));
      else log.warn({ error: toError(cause) }, 'cannot say that this process lives');
    }
  };

  const beat = (): Promise<void> => {
    beating ??= lookOrEnter().finally(() => {
      beating = undefined;
    });
    return beating;
  };

  return {
    get members() {
      return members;
    },
    start: async () => {
      await enter();
      endBeats = clock.every(settings.heartbeatMs, () => void beat());
      await known;
    },
    announce: async () => {
      // A beat that is under way may have looked before.
      await beating;
      await beat();
      if (!present) throw new UnavailableError('this process cannot say that it lives');
      await known;
    },
    stop: async () => {
      endBeats();
      await groups
        .leave(PROCESSES, member)
        .catch((error: Error) => log.warn({ error }, 'could not say that this process leaves'));
    },
  };
}
