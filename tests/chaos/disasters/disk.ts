import { setTimeout as sleep } from 'node:timers/promises';
import { UnavailableError } from '#kernel/core/errors.ts';
import { createPool } from '#kernel/postgres/pool.ts';
import { until } from '../../support/until.ts';
import type { Apart } from '../apart.ts';
import { type Disasters, type Mend, refusesUnavailable } from './disaster.ts';

/** Far more than it keeps. */
const MOST_LOG_FILES = 1000;

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
    onlyAlone: true,
    strike: async ({ harness, world, random, report }) => {
      const { disk, postgres } = world.parts;
      await useUpLog(postgres.url, disk.fill);
      await until('PostgreSQL has ended', () => isGone(world));
      for (const server of harness.servers) await refusesUnavailable(server, report);
      await sleep(random.between(0, 1000));
      return () => makeRoom(world);
    },
  },
};

/**
 * Makes PostgreSQL go on from file to file of its log of changes until there is no space for the next one. On a connection that
 * there was before: a full disk may be in the way of a new one.
 */
async function useUpLog(url: string, fill: () => Promise<void>): Promise<void> {
  const settings = { url, applicationName: 'disk', maxConnections: 1, statementTimeoutMs: 5000 };
  const pool = createPool(settings, () => undefined);
  try {
    await pool.query('SELECT 1');
    for (let files = 0; files < MOST_LOG_FILES; files++) {
      await fill();
      await pool.query("SELECT pg_logical_emit_message(false, 'chaos', ''), pg_switch_wal()");
    }
  } catch (error) {
    // It is ending for want of space, which is what this is for.
    if (!(error instanceof UnavailableError)) throw error;
  } finally {
    await pool.close();
  }
}

async function isGone({ parts }: Apart): Promise<boolean> {
  return (await parts.postgres.pids()).length === 0;
}

/** As an operator does: frees the space, and starts PostgreSQL where it has ended. */
async function makeRoom({ parts }: Apart): ReturnType<Mend> {
  await parts.disk.free();
  await parts.postgres.start();
}
