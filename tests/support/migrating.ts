import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ensureTopics } from '#kernel/bus/kafka/topics.ts';
import { systemClock } from '#kernel/core/clock.ts';
import { createLog } from '#kernel/observability/log.ts';
import { createPool } from '#kernel/postgres/pool.ts';
import { READS, sessionName } from '#kernel/postgres/sessions.ts';
import { createMigration, type Migration } from '#src/composition/migration.ts';
import { readConfig, type ServiceName } from '#src/config.ts';
import { definedServices } from '../../src/cli/services.ts';
import type { Api } from './api.ts';
import { onEnd } from './cleanup.ts';
import { temporaryDataFolder } from './data-folder.ts';
import { startProcess } from './platform.ts';
import { createDatabase } from './postgres.ts';

const LOG = createLog('silent');
/** Payments that are offered in a second, whether earlier ones are answered or not; 0: one after another by each client. */
const RATE = Number(process.env.CAUDAL_TEST_PAYMENTS_PER_SECOND ?? 0);
/** A machine that is slower than the rate is no reason for a payment to fail: no step of it has to be answered sooner. */
const PATIENCE_MS = String(15 * 60_000);
const CLIENTS = 8;
const SOME = 50;
/** With a rate, a while counts, not a number. */
const SOME_MS = 8_000;
const TICK_MS = 10;
/** More are not on their way at once: the rate is not reached then, which the summary says. */
const MAX_UNDER_WAY = 400;

/** Payments that are made all the time. */
export interface Paying {
  readonly ids: readonly string[];
  /** Goes on for a while. @throws when a client had an error */
  goOn(): Promise<void>;
  /** Makes no more, and waits for those on their way. */
  stop(): Promise<void>;
  /** How many, how fast. */
  summary(): string;
}

/** Pays by wallet and by card, until told to stop; every payment must be accepted. */
export function startPaying(api: Api, users: readonly string[]): Paying {
  const ids: string[] = [];
  const waits: number[] = [];
  const begun = performance.now();
  let ended = begun;
  let sent = 0;
  let stopping = false;
  const pay = async (): Promise<void> => {
    const n = sent++;
    const method = n % 8 < (RATE > 0 ? 7 : 4) ? 'wallet' : 'credit_card';
    const payment = { amount: '0.01', currency: 'USD', method, customer_id: users[n % users.length] };
    const sentAt = performance.now();
    const { status, body, text } = await api.post('/payments', payment);
    assert.equal(status, 201, text);
    waits.push(performance.now() - sentAt);
    ids.push(body.id);
  };
  const client = async (): Promise<void> => {
    while (!stopping) await pay();
  };
  const offer = async (rate: number): Promise<void> => {
    const underWay = new Set<Promise<void>>();
    while (!stopping) {
      const due = Math.min(((performance.now() - begun) / 1000) * rate - sent, MAX_UNDER_WAY - underWay.size);
      for (let n = 0; n < due; n++) {
        const one = pay();
        underWay.add(one);
        void one.then(() => underWay.delete(one));
      }
      await Promise.race([sleep(TICK_MS), Promise.all(underWay)]);
    }
    await Promise.all(underWay);
  };
  const clients = RATE > 0 ? [offer(RATE)] : Array.from({ length: CLIENTS }, client);
  return {
    ids,
    goOn: async () => {
      const [wanted, until] = [ids.length + SOME, performance.now() + SOME_MS];
      while (RATE > 0 ? performance.now() < until : ids.length < wanted)
        await Promise.race([...clients, sleep(TICK_MS)]);
    },
    stop: async () => {
      stopping = true;
      await Promise.all(clients);
      ended = performance.now();
    },
    summary: () => {
      const seconds = (ended - begun) / 1000;
      const sorted = waits.toSorted((a, b) => a - b);
      const [middle, late] = [0.5, 0.99].map((share) => Math.round(sorted[Math.floor(share * sorted.length)] ?? 0));
      return `${ids.length} payments in ${Math.round(seconds)} s, ${Math.round(ids.length / seconds)} a second; answered after ${middle} ms, 99 % within ${late} ms`;
    },
  };
}

/**
 * A whole platform in a process of its own, on the topology `single`, and what moves it.
 * @param brokers undefined: without Kafka
 * @param apart services with databases of their own
 */
export async function openMigrating(
  t: TestContext,
  brokers: readonly string[] | undefined,
  apart: readonly ServiceName[] = [],
) {
  const data = await temporaryDataFolder();
  onEnd(t, () => rm(data, { recursive: true }));
  const url = await createDatabase();
  const own: Record<string, string> = {};
  for (const service of apart) own[`DATABASE_URL_${service.toUpperCase()}`] = await createDatabase();
  const env = {
    ...own,
    CAUDAL_DATA: data,
    DATABASE_URL: url,
    PORT: '0',
    SIMULATOR_PORT: '0',
    FRAUD_DEADLINE_MS: PATIENCE_MS,
    DEBIT_DEADLINE_MS: PATIENCE_MS,
    ...(brokers !== undefined && { KAFKA_BROKERS: brokers.join() }),
  };
  const config = readConfig(env);
  const platform = await startProcess({ PATH: process.env.PATH ?? '', ...env, CAUDAL_TOPOLOGY: 'single' });
  onEnd(t, () => platform.end());
  const pools = [url, ...Object.values(own)].map((address) =>
    createPool(
      { url: address, applicationName: sessionName(READS, 'test'), maxConnections: 2, statementTimeoutMs: 20_000 },
      (error) => t.diagnostic(error.message),
    ),
  );
  onEnd(t, async () => {
    for (const pool of pools) await pool.close();
  });
  const services = await definedServices(config, LOG);
  const connection = brokers === undefined ? undefined : { brokers, clientId: 'test' };
  const migration = (onStep: (message: string) => void): Migration =>
    createMigration({
      pools,
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
  return { env, pool: pools[0]!, platform, migration };
}
