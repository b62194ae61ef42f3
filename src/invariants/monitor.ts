import type { Consumer, Taken } from '#kernel/bus/consumer.ts';
import type { MemberProgress } from '#kernel/bus/group.ts';
import { pause, type Scheduler } from '#kernel/core/clock.ts';
import { MembershipLostError } from '#kernel/core/errors.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { distance, LOG_START, type LogPosition } from '#kernel/core/log-position.ts';
import type { Progress, Store, Writer } from '#kernel/event-store/store.ts';
import type { Auditor } from './auditor.ts';
import { type Finding, nameOf } from './finding.ts';
import type { BoundedMemory } from './memory.ts';

export interface MonitorSettings {
  /** Events of the log that are looked at in a second, at most; a fourth of it while the process is busy. */
  readonly eventsPerSecond: number;
  /** Events read at once. */
  readonly pageEvents: number;
}

/** Something else that is looked at as the log goes by, at a pace of its own. */
export interface Check {
  /** @param events what is new since the last look */
  look(events: readonly RecordedEvent[]): Promise<readonly Finding[]>;
  /** Forgets what it was about to look at. */
  clear(): void;
}

interface Ports {
  readonly store: Pick<Store, 'openWriter'>;
  /** The one member that sees all of the log, in its order. */
  readonly consumer: Consumer;
  readonly auditor: Auditor;
  /** The auditor's. */
  readonly memory: BoundedMemory;
  /** What is wrong with the event's place in its chain; undefined: nothing. */
  readonly checkSeal: (event: RecordedEvent) => string | undefined;
  readonly checks: readonly Check[];
  /** Keeps what was found until somebody has seen to it. The same finding may come again. */
  readonly keep: (findings: readonly Finding[]) => Promise<void>;
  /** Whether the process has other work for most of its time: payments go first. */
  readonly isBusy: () => boolean;
  readonly clock: Scheduler;
}

/** Looks at every new event of the log, once in the whole system, and tells what it breaks. */
export interface Monitor {
  start(): Promise<void>;
  /** Looks at what is new, all of it. What fails is done again by the next pass. */
  pass(): Promise<void>;
  /** Says that this process lives; to be called about every second. */
  heartbeat(): Promise<void>;
  /** After the last pass; one that is under way ends soon when it is told by `giveUp`. */
  stop(): Promise<void>;
  giveUp(): void;
  /** Events that it has not looked at; 0 for one that stands by. */
  lag(): Promise<number>;
}

/** What fits between two turns of other work: two milliseconds or so. */
const SLICE_EVENTS = 100;
/** So many times slower while the process is busy. */
const BUSY_FACTOR = 4;

/**
 * The position is saved after what was found was kept, so nothing is lost by a restart; the memory belongs to the position,
 * and is given up with it.
 */
export function createMonitor(settings: MonitorSettings, ports: Ports): Monitor {
  const { store, consumer, auditor, memory, checkSeal, checks, keep, isBusy, clock } = ports;
  let writer: Writer;
  let givenUp = false;
  /** Up to where the memory goes. */
  let position: LogPosition = LOG_START;
  /** Why the last pass failed. */
  let failed: 'membership' | 'other' | undefined;

  const forget = (): void => {
    memory.clear();
    for (const check of checks) check.clear();
  };

  const recover = async (): Promise<void> => {
    if (failed === undefined) return;
    await writer.recover();
    await consumer.rewind(failed === 'membership');
    failed = undefined;
  };

  const save = async (progress: Progress): Promise<void> => {
    await writer.commit({ appends: [], progress });
    consumer.confirm(progress);
    position = cursorOf(progress);
  };

  const audit = async (events: readonly RecordedEvent[]): Promise<readonly Finding[]> => {
    const findings: Finding[] = [];
    for (let from = 0; from < events.length && !givenUp; from += SLICE_EVENTS) {
      const slice = events.slice(from, from + SLICE_EVENTS);
      for (const event of slice) findings.push(...inspect(event, auditor, checkSeal));
      const restMs = (slice.length * 1000) / settings.eventsPerSecond;
      await pause(clock, isBusy() ? restMs * BUSY_FACTOR : restMs);
    }
    return findings;
  };

  /** What cannot even be read as an event is left out of the audit: its broken seal is the finding. */
  const takePage = async ({ events, progress }: Taken, start: LogPosition): Promise<void> => {
    if (!isSame(start, position)) forget();
    const readable = events.filter(isReadable);
    await memory.recall(readable, start);
    const findings = [...(await audit(events))];
    if (givenUp) return;
    for (const check of checks) findings.push(...(await check.look(readable)));
    if (findings.length > 0) await keep(findings);
    await save(progress);
  };

  /** @returns whether there is more to look at */
  const step = async (): Promise<boolean> => {
    if (consumer.needsCare) await consumer.maintain();
    const start = cursorOf(consumer.progress);
    const taken = consumer.take(settings.pageEvents);
    if (taken !== undefined) {
      await takePage(taken, start);
      return consumer.needsCare;
    }
    const idle = consumer.idleProgress();
    if (idle !== undefined) await save(idle);
    if (consumer.owned.length > 0) await lookAside();
    return false;
  };

  const lookAside = async (): Promise<void> => {
    const findings: Finding[] = [];
    for (const check of checks) findings.push(...(await check.look([])));
    if (findings.length > 0) await keep(findings);
  };

  return {
    start: async () => {
      writer = await store.openWriter('monitor');
      await consumer.start();
    },
    pass: async () => {
      try {
        await recover();
        while (!givenUp && (await step())) if (givenUp) return;
      } catch (cause) {
        failed = failed === 'membership' || cause instanceof MembershipLostError ? 'membership' : 'other';
        forget();
        throw cause;
      }
    },
    heartbeat: () => consumer.heartbeat(),
    giveUp: () => {
      givenUp = true;
    },
    stop: async () => {
      await consumer.stop().finally(() => writer.close());
    },
    lag: () => consumer.lag(),
  };
}

/** What is wrong with one event, its seal included where that can be checked. */
export function inspect(event: RecordedEvent, auditor: Auditor, checkSeal?: Ports['checkSeal']): readonly Finding[] {
  const problem = checkSeal?.(event);
  const broken: readonly Finding[] =
    problem === undefined
      ? []
      : [{ invariant: 'chain_whole', message: `${nameOf(event)}: ${problem}`, eventId: event.id }];
  return isReadable(event) ? [...broken, ...auditor.observe(event)] : broken;
}

/** Whether it has what every event has: one that a forger wrote may not. */
export function isReadable({ data, metadata }: RecordedEvent): boolean {
  return isObject(data) && isObject(metadata) && typeof metadata.correlationid === 'string';
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null;
}

function cursorOf(progress: Progress): LogPosition {
  return (progress.value as MemberProgress).cursor;
}

function isSame(a: LogPosition, b: LogPosition): boolean {
  return distance(a, b) === 0 && distance(b, a) === 0;
}
