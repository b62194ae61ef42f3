import { pause, type Scheduler } from '../core/clock.ts';
import { MembershipLostError, toError, UnavailableError } from '../core/errors.ts';
import type { Log } from '../observability/log.ts';
import type { GroupStore } from './group.ts';
import type { Tail } from './tail.ts';

/** The group of all processes that write; it has no partitions. */
const PROCESSES = 'processes';

/**
 * Knows which other processes live, and keeps `tail.alone` true to it. Who is put out may live all the same, when the
 * database was out of reach for longer than a lease: it enters again, and until then writes what the short cut must not
 * overtake. So who has put out another takes itself for alone only after a further lease, and does not leave before: what
 * it leaves behind must be put out by whoever comes next, who is then in doubt as well. One that is frozen says nothing, and
 * writes as soon as it wakes: nobody is alone while it is connected.
 */
export interface Presence {
  /** Enters. When others live, waits until they surely know, so that none of them still believes to be alone. */
  start(): Promise<void>;
  /**
   * To be called by whoever was put out of a group, before it goes on: the same may have happened here, and then another
   * process may believe to be alone. Resolves when all surely know again.
   * @throws UnavailableError when nobody can be told
   */
  announce(): Promise<void>;
  /** Leaves; in doubt, it stays until it is put out. */
  stop(): Promise<void>;
  /** Instances that live, this one included. */
  readonly members: readonly string[];
}

export interface PresenceSettings {
  readonly instance: string;
  readonly heartbeatMs: number;
  readonly leaseMs: number;
}

interface Ports {
  readonly groups: GroupStore;
  readonly tail: Tail;
  readonly clock: Scheduler;
  readonly log: Log;
  /** Tells the other processes to look. */
  notify(): void;
  /** Whether there is another process that can write without a word before, though it has said nothing for longer than a lease. */
  othersMayWrite(): Promise<boolean>;
}

export function createPresence(settings: PresenceSettings, ports: Ports): Presence {
  const { groups, tail, clock, log } = ports;
  // One that comes waits for so long; one that puts us out does so after a lease.
  const sureForMs = Math.min(2 * settings.heartbeatMs, settings.leaseMs);
  let members: readonly string[] = [];
  let generation = 0;
  let member = settings.instance;
  let endBeats: () => void = () => undefined;
  let beating: Promise<void> | undefined;
  /** Whether the last look saw this process among those that live. */
  let present = false;
  /** Heartbeats until all that were put out surely know. Counted, not timed: a clock that is set makes no lease pass. */
  let doubtfulBeats = 0;
  /** Resolves when all others have looked since this process entered. */
  let known: Promise<void> = Promise.resolve();

  /** The next heartbeat has no time behind it. */
  const doubt = (): void => {
    doubtfulBeats = 1 + Math.ceil(settings.leaseMs / settings.heartbeatMs);
  };

  const look = async (): Promise<void> => {
    present = false;
    const started = performance.now();
    const view = await groups.heartbeat(PROCESSES, member, settings.leaseMs);
    if (!view.members.includes(member)) throw new MembershipLostError(`${member} was taken for dead`);
    present = true;
    members = view.members;
    if (view.putOut.length > 0) doubt();
    doubtfulBeats = Math.max(0, doubtfulBeats - 1);
    const alone = members.length === 1 && doubtfulBeats === 0 && !(await ports.othersMayWrite());
    if (tail.alone && !alone) log.info({ instances: members.length }, 'other processes share this store');
    // Others may have come and gone since it was sure last.
    if (started > tail.aloneUntil) tail.alone = false;
    tail.alone = alone;
    if (alone) tail.aloneUntil = started + sureForMs;
    else tail.wake();
  };

  const enter = async (): Promise<void> => {
    tail.alone = false;
    member = generation === 0 ? settings.instance : `${settings.instance}.${generation}`;
    generation += 1;
    await groups.join(PROCESSES, member, []);
    await look();
    if (members.length === 1) return;
    ports.notify();
    known = pause(clock, 2 * settings.heartbeatMs);
  };

  const lookOrEnter = async (): Promise<void> => {
    try {
      await look();
    } catch (cause) {
      tail.alone = false;
      doubt();
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
      if (doubtfulBeats > 0) return;
      await groups
        .leave(PROCESSES, member)
        .catch((error: Error) => log.warn({ error }, 'could not say that this process leaves'));
    },
  };
}
