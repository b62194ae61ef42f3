import { setTimeout as sleep } from 'node:timers/promises';
import type { Disaster, Disasters } from './disaster.ts';

const SECOND_MS = 1000;
const HOUR_MS = 3_600_000;

/** One of two servers has the wrong time for a few seconds; then its clock is right again, which is a step as well. */
export const CLOCK_DISASTERS: Disasters = {
  'the clock of a server seconds ahead': wrongBy(2 * SECOND_MS, 90 * SECOND_MS),
  'the clock of a server seconds behind': wrongBy(-90 * SECOND_MS, -2 * SECOND_MS),
  'the clock of a server hours ahead': wrongBy(HOUR_MS, 12 * HOUR_MS),
  'the clock of a server hours behind': wrongBy(-12 * HOUR_MS, -HOUR_MS),
};

function wrongBy(leastMs: number, mostMs: number): Disaster {
  return {
    servers: 2,
    strike: async ({ harness, random, alone, goesOn }) => {
      const server = random.pick(harness.servers);
      await harness.setClock(server, random.between(leastMs, mostMs));
      await sleep(random.between(1000, 3000));
      if (alone) await goesOn();
      return async () => {
        if (server.ended === undefined) await harness.setClock(server, 0);
      };
    },
  };
}
