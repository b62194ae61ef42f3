import { setTimeout as sleep } from 'node:timers/promises';
import { partitionShares } from '#kernel/bus/postgres/ownership.ts';
import type { BenchServer } from './server.ts';
import { INSTANCED } from './shape.ts';

const LOOK_MS = 500;
/** Groups that have just been formed may be formed anew. */
const STEADY_LOOKS = 4;
const LIMIT_MS = 120_000;

/**
 * Waits until each instance of each service has its share of the partitions, and keeps it.
 * @throws Error when that takes too long
 */
export async function untilShared({ database }: BenchServer, instances: number): Promise<void> {
  const deadline = Date.now() + LIMIT_MS;
  let before = '';
  for (let steady = 0; steady < STEADY_LOOKS; await sleep(LOOK_MS)) {
    const shares = await partitionShares(database.pool);
    const complete = INSTANCED.every((service) => {
      const owners = shares.filter(({ consumer }) => consumer === service);
      return owners.length === instances && owners.every(({ instance }) => instance !== null);
    });
    const now = JSON.stringify(shares);
    steady = complete && now === before ? steady + 1 : 0;
    before = now;
    if (Date.now() > deadline) throw new Error(`the partitions are not shared out after ${LIMIT_MS / 1000} s: ${now}`);
  }
}
