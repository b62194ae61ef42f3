import { setTimeout as sleep } from 'node:timers/promises';
import type { Embedded } from '../embedded.ts';
import type { Harness } from '../harness.ts';
import { signal } from '../processes.ts';
import { BY_ITSELF, type Disasters } from './disaster.ts';

/** What happens to the server processes. */
export const SERVER_DISASTERS: Disasters = {
  'kill -9 of a server': {
    strike: async ({ harness, random }) => {
      await harness.kill(random.pick(harness.servers));
      await sleep(random.between(0, 500));
      return () => atLeastOne(harness);
    },
  },

  'kill -9 of a server that starts': {
    strike: async ({ harness, random }) => {
      await harness.kill(random.pick(harness.servers));
      const starting = harness.start();
      await sleep(random.between(50, 1500));
      await harness.kill(starting);
      return () => atLeastOne(harness);
    },
  },

  'one of two servers killed': {
    servers: 2,
    strike: async ({ harness, random }) => {
      await harness.kill(random.pick(harness.servers));
      return BY_ITSELF;
    },
  },

  'graceful stop of a server': {
    onlyAlone: true,
    strike: async ({ harness, random, report }) => {
      const ended = await harness.stop(random.pick(harness.servers));
      if (ended !== 'code 0') report(`a stop under load ended with ${ended}`);
      return () => atLeastOne(harness);
    },
  },

  'one of two servers stopped': {
    servers: 2,
    onlyAlone: true,
    strike: async ({ harness, random, report }) => {
      const ended = await harness.stop(random.pick(harness.servers));
      if (ended !== 'code 0') report(`a stop beside another server ended with ${ended}`);
      return BY_ITSELF;
    },
  },

  'SIGSTOP of a server, for a moment': {
    strike: async ({ harness, random }) => {
      const { pid } = random.pick(harness.servers);
      signal([pid], 'SIGSTOP');
      await sleep(random.between(200, 1200));
      return async () => signal([pid], 'SIGCONT');
    },
  },

  'SIGSTOP of one of two servers, past its lease': {
    servers: 2,
    strike: async ({ harness, random, alone, goesOn }) => {
      const [frozen, other] = random.shuffle(harness.servers);
      signal([frozen!.pid], 'SIGSTOP');
      await sleep(random.between(2000, 4000));
      if (alone) await goesOn(other);
      return async () => signal([frozen!.pid], 'SIGCONT');
    },
  },
};

/** What only happens where PostgreSQL is one of the processes that servers look after. */
export const EMBEDDED_SERVER_DISASTERS: Disasters<Embedded> = {
  'kill -9 of servers and PostgreSQL': {
    onlyAlone: true,
    strike: async ({ harness, world, random }) => {
      const pids = await world.postgres();
      const killed = harness.servers.map(harness.kill);
      signal(pids, 'SIGKILL');
      await Promise.all(killed);
      await sleep(random.between(0, 500));
      return () => atLeastOne(harness);
    },
  },
};

async function atLeastOne(harness: Harness): Promise<void> {
  if (harness.servers.length === 0) harness.start();
}
