import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startEmbeddedPostgres } from '#kernel/postgres/embedded.ts';
import type { Random } from '../../support/random.ts';
import { until } from '../../support/until.ts';
import type { Apart } from '../apart.ts';
import type { Embedded } from '../embedded.ts';
import { signal } from '../processes.ts';
import { BY_ITSELF, type Disaster, type Disasters, type Mend, refusesUnavailable } from './disaster.ts';

const QUIET = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** What happens to the processes of PostgreSQL wherever it runs. */
export const POSTGRES_DISASTERS: Disasters = {
  'kill -9 of one process of PostgreSQL': {
    strike: async ({ world, random }) => {
      const [, ...children] = await world.postgres();
      signal([random.pick(children)], 'SIGKILL');
      return BY_ITSELF;
    },
  },
  'SIGSTOP of PostgreSQL': {
    strike: async (scene) => freeze(scene.random, await scene.world.postgres()),
  },
  'SIGSTOP of the postmaster alone': {
    strike: async (scene) => freeze(scene.random, (await scene.world.postgres()).slice(0, 1)),
  },
  'SIGSTOP of one process of PostgreSQL': {
    strike: async (scene) => freeze(scene.random, [scene.random.pick((await scene.world.postgres()).slice(1))]),
  },
};

/** What servers must see and put right by themselves, because PostgreSQL is theirs. */
export const EMBEDDED_POSTGRES_DISASTERS: Disasters<Embedded> = {
  'kill -9 of PostgreSQL': {
    strike: async ({ world }) => {
      signal(await world.postgres(), 'SIGKILL');
      return BY_ITSELF;
    },
  },
  'kill -9 of the postmaster alone': {
    strike: async ({ world }) => {
      signal((await world.postgres()).slice(0, 1), 'SIGKILL');
      return BY_ITSELF;
    },
  },
  'PostgreSQL stopped and started': {
    onlyAlone: true,
    strike: async ({ harness, world, random, report }) => {
      const [postmaster] = await world.postgres();
      signal([postmaster!], 'SIGINT');
      await until('PostgreSQL has stopped', async () => (await world.postgres()).length === 0);
      for (const server of harness.servers) await refusesUnavailable(server, report);
      await sleep(random.between(0, 1500));
      return async () => {
        const postgres = await startEmbeddedPostgres({ dataDir: join(world.dataDir, 'postgres'), log: QUIET });
        for (const server of harness.servers) await harness.ready(server);
        await postgres.stop();
      };
    },
  },
};

/** What an operator does to a PostgreSQL of their own, or puts right. */
export const APART_POSTGRES_DISASTERS: Disasters<Apart> = {
  'PostgreSQL restarted, fast': restarted('SIGINT'),
  'PostgreSQL restarted, immediate': restarted('SIGQUIT'),
  'kill -9 of PostgreSQL': {
    strike: async ({ world: { parts }, random }) => {
      signal(await parts.postgres.pids(), 'SIGKILL');
      await sleep(random.between(0, 1500));
      return parts.postgres.start;
    },
  },
};

function restarted(how: 'SIGINT' | 'SIGQUIT'): Disaster<Apart> {
  return {
    strike: async ({ harness, world: { parts }, random, alone, report }) => {
      await parts.postgres.stop(how);
      if (alone) for (const server of harness.servers) await refusesUnavailable(server, report);
      await sleep(random.between(0, 1500));
      return parts.postgres.start;
    },
  };
}

/** Long enough, now and then, for every lease to be over. */
async function freeze(random: Random, pids: readonly number[]): Promise<Mend> {
  signal(pids, 'SIGSTOP');
  await sleep(random.between(300, 3000));
  return async () => signal(pids, 'SIGCONT');
}
