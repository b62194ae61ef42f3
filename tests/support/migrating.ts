import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import type { TestContext } from 'node:test';
import { ensureTopics } from '#kernel/bus/kafka/topics.ts';
import { systemClock } from '#kernel/core/clock.ts';
import { createLog } from '#kernel/observability/log.ts';
import { createPool } from '#kernel/postgres/pool.ts';
import { createMigration, type Migration } from '#src/composition/migration.ts';
import { readConfig } from '#src/config.ts';
import { startPlatform } from '#src/main.ts';
import { definedServices } from '../../src/cli/services.ts';
import { type Api, apiAt } from './api.ts';
import { onEnd } from './cleanup.ts';
import { temporaryDataFolder } from './data-folder.ts';
import { createDatabase } from './postgres.ts';

const LOG = createLog('silent');
const CLIENTS = 8;

/** Clients that pay one payment after another, by wallet and by card, until they are told to stop. */
export function startPaying(api: Api, user: string) {
  const ids: string[] = [];
  let stopping = false;
  const client = async (n: number): Promise<void> => {
    const method = n % 2 === 0 ? 'wallet' : 'credit_card';
    while (!stopping) {
      const payment = { amount: '0.01', currency: 'USD', method, customer_id: user };
      const { status, body, text } = await api.post('/payments', payment);
      assert.equal(status, 201, text);
      ids.push(body.id);
    }
  };
  const clients = Array.from({ length: CLIENTS }, (_, n) => client(n));
  return {
    ids,
    /** @returns when so many more payments were made */
    more: async (count: number): Promise<void> => {
      const wanted = ids.length + count;
      while (ids.length < wanted) await Promise.race([...clients, new Promise((resolve) => setTimeout(resolve, 10))]);
    },
    stop: async (): Promise<void> => {
      stopping = true;
      await Promise.all(clients);
    },
  };
}

/** A whole platform in this process, on the topology `single`, and what moves it. @param brokers undefined: without Kafka */
export async function openMigrating(t: TestContext, brokers: readonly string[] | undefined) {
  const data = await temporaryDataFolder();
  onEnd(t, () => rm(data, { recursive: true }));
  const url = await createDatabase();
  const env = {
    CAUDAL_DATA: data,
    DATABASE_URL: url,
    PORT: '0',
    SIMULATOR_PORT: '0',
    ...(brokers !== undefined && { KAFKA_BROKERS: brokers.join() }),
  };
  const config = readConfig({ ...env, CAUDAL_TOPOLOGY: 'single' });
  const platform = await startPlatform(config, LOG);
  onEnd(t, () => platform.stop());
  const pool = createPool({ url, applicationName: 'test', maxConnections: 2, statementTimeoutMs: 20_000 }, (error) =>
    t.diagnostic(error.message),
  );
  onEnd(t, () => pool.close());
  const services = await definedServices(config, LOG);
  const connection = brokers === undefined ? undefined : { brokers, clientId: 'test' };
  const migration = (onStep: (message: string) => void): Migration =>
    createMigration({
      pools: [pool],
      clock: systemClock,
      leaseMs: config.leaseMs,
      kafka: connection,
      types: (consumer) => Object.keys(services.get(consumer as never)!.reactions),
      makeTopics: async ({ topics }) => {
        if (connection !== undefined)
          await ensureTopics(connection, topics, { replication: 1, retentionMs: 3_600_000 }, LOG);
      },
      onStep,
    });
  return { env, pool, platform, api: apiAt(platform.url), migration };
}
