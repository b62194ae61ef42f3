import { setTimeout as sleep } from 'node:timers/promises';
import type { Apart } from '../apart.ts';
import type { Embedded } from '../embedded.ts';
import { signal } from '../processes.ts';
import { BY_ITSELF, type Disasters } from './disaster.ts';

/** What happens to the card gateway wherever it runs. */
export const GATEWAY_DISASTERS: Disasters = {
  'SIGSTOP of the gateway simulator': {
    strike: async ({ world, random }) => {
      const pids = await world.simulator();
      signal(pids, 'SIGSTOP');
      await sleep(random.between(300, 3000));
      return async () => signal(pids, 'SIGCONT');
    },
  },
};

export const EMBEDDED_GATEWAY_DISASTERS: Disasters<Embedded> = {
  'kill -9 of the gateway simulator': {
    strike: async ({ world }) => {
      signal(await world.simulator(), 'SIGKILL');
      return BY_ITSELF;
    },
  },
};

export const APART_GATEWAY_DISASTERS: Disasters<Apart> = {
  'kill -9 of the gateway simulator': {
    strike: async ({ world: { parts }, random }) => {
      parts.simulator.kill();
      await sleep(random.between(0, 2000));
      return parts.simulator.start;
    },
  },
};
