import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { createWakeCall } from '#kernel/bus/postgres/wake.ts';
import { createLog } from '#kernel/observability/log.ts';
import { createPool } from '#kernel/postgres/pool.ts';
import { createDatabase } from '../support/postgres.ts';
import { until } from '../support/until.ts';

const NAME = 'caudal wake test';
/** Long enough for several attempts to listen. */
const OUTAGE_MS = 2500;

test('after an outage in which it tried several times, it listens once, and hears', async (t) => {
  const url = await createDatabase();
  const database = pg.escapeIdentifier(new URL(url).pathname.slice(1));
  const admin = new pg.Client(Object.assign(new URL(url), { pathname: 'postgres' }).href);
  await admin.connect();
  t.after(() => admin.end());
  const pool = createPool({ url, applicationName: 'test', maxConnections: 1, statementTimeoutMs: 10_000 }, () => {});
  t.after(() => pool.close());
  let heard = 0;
  const wakeCall = createWakeCall(url, NAME, pool, createLog('silent'), () => heard++);
  await wakeCall.start();
  t.after(() => wakeCall.stop());
  const listeners = async () =>
    (await admin.query('SELECT FROM pg_stat_activity WHERE application_name = $1', [NAME])).rowCount;

  await admin.query(`ALTER DATABASE ${database} ALLOW_CONNECTIONS false`);
  await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1', [NAME]);
  await sleep(OUTAGE_MS);
  await admin.query(`ALTER DATABASE ${database} ALLOW_CONNECTIONS true`);
  await until('it listens again', async () => (await listeners()) !== 0);
  await sleep(1000);
  assert.equal(await listeners(), 1);
  const before = heard;
  wakeCall.notify();
  await until('it hears', () => heard > before);
});

test('one that nobody needs to wake hears nothing, and is woken when that changes', async (t) => {
  const url = await createDatabase();
  const pool = createPool({ url, applicationName: 'test', maxConnections: 1, statementTimeoutMs: 10_000 }, () => {});
  t.after(() => pool.close());
  const heard = { idle: 0, other: 0 };
  const idle = createWakeCall(url, NAME, pool, createLog('silent'), () => heard.idle++);
  const other = createWakeCall(url, NAME, pool, createLog('silent'), () => heard.other++);
  for (const wakeCall of [idle, other]) {
    await wakeCall.start();
    t.after(() => wakeCall.stop());
  }
  idle.hear(false);
  // What is under way may still be heard.
  const silent = async (): Promise<boolean> => {
    const before = { ...heard };
    idle.notify();
    await until('the other hears', () => heard.other > before.other);
    return heard.idle === before.idle;
  };
  await until('it does not hear any more', silent);
  for (let i = 0; i < 20; i++) assert.ok(await silent());
  const before = heard.idle;
  idle.hear(true);
  await until('it is woken', () => heard.idle === before + 1);
  other.notify();
  await until('it hears again', () => heard.idle > before + 1);
});
