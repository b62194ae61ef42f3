import { UnavailableError } from '#kernel/core/errors.ts';
import type { Random } from '../support/random.ts';
import type { FaultName, Faults } from './faults.ts';
import type { Machine } from './machine.ts';
import type { VirtualTime } from './virtual-time.ts';

/** What can go wrong with a call from a process to something outside it. */
export interface CallFaults {
  readonly crashBefore?: FaultName;
  /** After it took effect, before the process hears of it. */
  readonly crashAfter?: FaultName;
  /** It takes no effect. */
  readonly refused?: FaultName;
  /** It takes effect, and the process hears of nothing but a broken connection. */
  readonly lost?: FaultName;
}

/** The way of a process to what is outside of it: calls take time, and may go wrong. */
export interface Link {
  /** Makes a call: on its way, taking effect, and back. What is on its way arrives, whatever becomes of the process. */
  ask<T>(effect: () => Promise<T>, wrong: CallFaults): Promise<T>;
  /** Milliseconds that something takes on its way. */
  latency(): number;
}

const MOST_MS = 1;
const SLOW_MS = 2_000;

/** @param isDown whether what is called is out of reach at this moment */
export function createLink(
  machine: Machine,
  time: VirtualTime,
  random: Random,
  faults: Faults,
  isDown: () => boolean,
): Link {
  const latency = (): number =>
    faults.hit('slow call') ? faults.random.between(10, SLOW_MS) : random.between(20, 1000 * MOST_MS) / 1000;

  const ask = <T>(effect: () => Promise<T>, wrong: CallFaults): Promise<T> =>
    new Promise((resolve, reject) => {
      const back = (work: () => void): void => void time.after(latency(), () => machine.call(work));
      const broken = (): void => back(() => reject(new UnavailableError('out of reach, says the simulation')));
      if (wrong.crashBefore !== undefined && faults.hit(wrong.crashBefore)) return machine.kill();
      time.after(latency(), () => {
        if (isDown() || (wrong.refused !== undefined && faults.hit(wrong.refused))) return broken();
        effect().then(
          (value) => {
            if (wrong.crashAfter !== undefined && faults.hit(wrong.crashAfter)) machine.kill();
            else if (wrong.lost !== undefined && faults.hit(wrong.lost)) broken();
            else back(() => resolve(value));
          },
          (error) => back(() => reject(error)),
        );
      });
    });

  return { ask, latency };
}
