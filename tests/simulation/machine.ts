import type { Scheduler } from '#kernel/core/clock.ts';
import type { Cancel, VirtualTime } from './virtual-time.ts';

/**
 * What a process runs on. Everything that a process does follows from a call of its machine: a timer, or an answer from
 * outside. When the machine is dead no call comes any more, so that the process has ended in the middle of whatever it
 * was doing; while it is paused the calls wait.
 */
export interface Machine {
  readonly name: string;
  /** The time as the process has it, and its timers. */
  readonly clock: Scheduler;
  readonly alive: boolean;
  /** Lets something happen to the process: now, when its pause is over, or never. */
  call(work: () => void): void;
  pause(): void;
  resume(): void;
  /** Sets the clock. @param offsetMs what it is ahead of the time of the simulation */
  setClock(offsetMs: number): void;
  kill(): void;
  /** Called once, when it is killed. */
  onKilled(listener: () => void): void;
}

export function createMachine(name: string, time: VirtualTime): Machine {
  const listeners: (() => void)[] = [];
  let waiting: (() => void)[] = [];
  let offset = 0;
  let alive = true;
  let paused = false;

  const call = (work: () => void): void => {
    if (paused) waiting.push(work);
    else if (alive) work();
  };

  const clock: Scheduler = {
    now: () => Math.floor(time.now() + offset),
    after: (ms, work) => time.after(ms, () => call(work)),
    every: (ms, work) => {
      let cancel: Cancel;
      const again = (): void => {
        cancel = time.after(ms, () =>
          call(() => {
            again();
            work();
          }),
        );
      };
      again();
      return () => cancel();
    },
  };

  return {
    name,
    clock,
    get alive() {
      return alive;
    },
    call,
    pause: () => {
      paused = true;
    },
    resume: () => {
      paused = false;
      const calls = waiting;
      waiting = [];
      for (const work of calls) call(work);
    },
    setClock: (offsetMs) => {
      offset = offsetMs;
    },
    kill: () => {
      if (!alive) return;
      alive = false;
      waiting = [];
      for (const listener of listeners) listener();
    },
    onKilled: (listener) => listeners.push(listener),
  };
}
