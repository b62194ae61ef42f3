import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { processExists } from '#kernel/postgres/embedded/lock-file.ts';
import { startEmbeddedPostgres } from '#kernel/postgres/embedded.ts';
import type { Answer } from '../../support/api.ts';
import { discrepancies } from '../../support/gateway-books.ts';
import { assertLedgerBalanced, balanceOf, finalPayment, newUser, walletWith } from '../../support/money.ts';
import { startPlatform } from '../../support/platform.ts';
import { until } from '../../support/until.ts';

const platform = await startPlatform();
const { api } = platform;
const CLIENTS = 16;
const BEFORE_MS = 1000;
const DOWN_MS = 4000;
const AFTER_MS = 1500;

/** Stops PostgreSQL as `pg_ctl stop -m fast` does, which the platform takes for somebody's will, and starts it after `work`. */
async function withoutDatabase(work: () => Promise<void>): Promise<void> {
  const dataDir = join(platform.dataDir, 'postgres');
  const pid = Number.parseInt(await readFile(join(dataDir, 'postmaster.pid'), 'utf8'), 10);
  process.kill(pid, 'SIGINT');
  await until('PostgreSQL is down', () => !processExists(pid));
  await work();
  const log = { info: () => undefined, warn: console.warn, error: console.error };
  const started = await startEmbeddedPostgres({ dataDir, log });
  await until('the platform uses it again', async () => (await api.get('/health')).body.status === 'healthy');
  await started.stop();
}

function assertUnavailable(answer: Answer): void {
  assert.deepEqual([answer.status, answer.body.code], [503, 'unavailable'], answer.text);
  assert.match(answer.headers.get('content-type') ?? '', /^application\/problem\+json/);
  assert.match(answer.headers.get('retry-after') ?? '', /^[1-9]\d*$/);
}

/** Pays again and again, each time under a key, until `stopped`: what is answered 503 is sent again. */
async function client(user: string, made: Answer['body'][], counts: Map<number, number>, stopped: () => boolean) {
  while (!stopped()) {
    const method = made.length % 2 === 0 ? 'wallet' : 'credit_card';
    const payment = { amount: '1.00', currency: 'USD', method, customer_id: user };
    const key = { 'idempotency-key': randomUUID() };
    for (let answer: Answer | undefined; answer?.status !== 201; ) {
      answer = await api.post('/payments', payment, key);
      counts.set(answer.status, (counts.get(answer.status) ?? 0) + 1);
      if (answer.status === 201) made.push(answer.body);
      else assertUnavailable(answer);
      await sleep(20);
    }
  }
}

test('PostgreSQL stopped under load: 503 meanwhile, then it goes on by itself, and nothing is lost or doubled', async (t) => {
  const user = await walletWith(api, '100000.00');
  const made: Answer['body'][] = [];
  const counts = new Map<number, number>();
  let stopped = false;
  const clients = Array.from({ length: CLIENTS }, () => client(user, made, counts, () => stopped));
  await sleep(BEFORE_MS);
  await withoutDatabase(async () => {
    const payment = { amount: 1, currency: 'USD', method: 'credit_card', customer_id: newUser() };
    assertUnavailable(await api.post('/payments', payment));
    assertUnavailable(await api.get('/payments'));
    assertUnavailable(await api.get(`/wallets/${user}`));
    assertUnavailable(await api.post('/wallets', { user_id: newUser(), currency: 'USD' }));
    assertUnavailable(await api.get('/api/v1/dlq'));
    const health = await api.get('/health');
    assert.deepEqual(
      [health.status, health.body.status, health.body.checks.database.status],
      [503, 'unhealthy', 'unhealthy'],
    );
    assert.equal((await api.get('/health/ready')).status, 503);
    assert.equal((await api.get('/health/live')).status, 200);
    assert.equal((await api.get('/metrics')).status, 200);
    await sleep(DOWN_MS);
  });
  await sleep(AFTER_MS);
  stopped = true;
  await Promise.all(clients);
  t.diagnostic(JSON.stringify(Object.fromEntries(counts)));

  for (const { id } of made) assert.equal((await finalPayment(api, id)).status, 'APPROVED');
  const byWallet = made.filter(({ method }) => method === 'wallet').length;
  assert.equal(new Set(made.map(({ id }) => id)).size, made.length);
  assert.equal(await balanceOf(api, user), 10_000_000 - 100 * byWallet);
  assert.deepEqual(await discrepancies(platform), []);
  await assertLedgerBalanced(api);
  const [row] = await platform.query<{ count: number }>('SELECT count(*) FROM payments.saga_projections');
  assert.equal(row!.count, made.length);
});
