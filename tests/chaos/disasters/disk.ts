import { setTimeout as sleep } from 'node:timers/promises';
import { createPool } from '#kernel/postgres/pool.ts';
import { until } from '../../support/until.ts';
import type { Apart } from '../apart.ts';
import { type Disasters, type Mend, refusesUnavailable } from './disaster.ts';

const WAL_PAUSE_MS = 100;

/** What happens when the disk of PostgreSQL is full: its data, and its log of changes, without which it does not go on. */
export const DISK_DISASTERS: Disasters<Apart> = {
  'the disk full': {
    strike: async ({ world, random, alone, refusals }) => {
      const before = refusals();
      await world.parts.disk.fill();
      if (alone) await until('payments are refused', () => refusals() > before);
      await sleep(random.between(500, 2000));
      return () => makeRoom(world);
    },
  },

  'the disk full, and PostgreSQL ended by it': {
    strike: async ({ harness, world, random, alone, report }) => {
      const { disk, postgres } = world.parts;
      await disk.fill();
      await until('PostgreSQL has ended', async () => !(await writesOn(postgres.url)) && (await isGone(world)));
      if (alone) for (const server of harness.servers) await refusesUnavailable(server, report);
      await sleep(random.between(0, 1000));
      return () => makeRoom(world);
    },
  },
};

/** Makes PostgreSQL go on to the next file of its log of changes. @returns whether it could */
async function writesOn(url: string): Promise<boolean> {
  const settings = { url, applicationName: 'disk', maxConnections: 1, statementTimeoutMs: 5000 };
  const pool = createPool(settings, () => undefined);
  try {
    await pool.query('SELECT pg_switch_wal()');
    await sleep(WAL_PAUSE_MS);
    return true;
  } catch {
    // It is ending, or has ended, for want of space: that is what this is for.
    return false;
  } finally {
    await pool.close();
  }
}

async function isGone({ parts }: Apart): Promise<boolean> {
  return (await parts.postgres.pids()).length === 0;
}

/** As an operator does: frees the space, and starts PostgreSQL where it has ended. */
async function makeRoom(world: Apart): ReturnType<Mend> {
  await world.parts.disk.free();
  if (await isGone(world)) await world.parts.postgres.start();
}
