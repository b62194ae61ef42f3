import type { FaultName } from './faults.ts';
import type { Platform } from './platform.ts';
import type { Process, World } from './process.ts';

/** Does to the platform, from time to time, what no single call can go wrong by. */
export interface Monkey {
  start(): void;
  /** Puts everything right again. */
  heal(): void;
}

const LONGEST_PAUSE_MS = 12_000;
const LONGEST_OUTAGE_MS = 8_000;
const LONGEST_JUMP_MS = 60_000;

export function createMonkey({ time, faults, database, gateway, note }: World, platform: Platform): Monkey {
  const { random } = faults;
  const paused = new Set<Process>();

  const victim = (): Process | undefined => {
    const { processes } = platform;
    return processes.length === 0 ? undefined : random.pick(processes);
  };

  const pause = (process: Process): void => {
    process.machine.pause();
    paused.add(process);
    time.after(random.between(100, LONGEST_PAUSE_MS), () => {
      if (paused.delete(process)) process.machine.resume();
    });
  };

  const outage = (of: { down: boolean }): void => {
    of.down = true;
    time.after(random.between(100, LONGEST_OUTAGE_MS), () => {
      of.down = false;
    });
  };

  const tricks: Partial<Record<FaultName, () => void>> = {
    crash: () => victim()?.machine.kill(),
    pause: () => {
      const process = victim();
      if (process !== undefined && !paused.has(process)) pause(process);
    },
    restart: () => {
      const process = victim();
      if (process !== undefined) platform.restart(process);
    },
    'clock jump': () => {
      database.clockOffsetMs += random.between(-LONGEST_JUMP_MS, LONGEST_JUMP_MS);
    },
    'database outage': () => outage(database),
    'gateway outage': () => outage(gateway),
  };

  const plan = (name: FaultName, trick: () => void): void => {
    const next = faults.next(name);
    if (next === undefined) return;
    time.after(next.ms, () => {
      if (faults.healed) return;
      if (next.happens) {
        note(`now: ${name}`);
        trick();
      }
      plan(name, trick);
    });
  };

  return {
    start: () => {
      for (const [name, trick] of Object.entries(tricks)) plan(name as FaultName, trick);
    },
    heal: () => {
      database.down = false;
      gateway.down = false;
      for (const process of paused) process.machine.resume();
      paused.clear();
    },
  };
}
