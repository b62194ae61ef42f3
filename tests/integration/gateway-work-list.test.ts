import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { after, before, beforeEach, describe, test } from 'node:test';
import { migrate } from '#kernel/postgres/migrator.ts';
import { createPool, type Pool } from '#kernel/postgres/pool.ts';
import type { OperationRow } from '#services/gateway/projections.ts';
import { believedCharges, createWorkList, type WorkList } from '#services/gateway/queries.ts';
import { createDatabase } from '../support/postgres.ts';

const NOW = Date.UTC(2026, 10, 22, 12);
const MIGRATIONS = join(import.meta.dirname, '../../src/services/gateway/migrations');
const DUE = { gateway: 'simulator', now: NOW, limit: 10, leaseUntil: NOW + 15_000 };

describe('the work list in PostgreSQL', () => {
  let pool: Pool;
  let workList: WorkList;

  before(async () => {
    const url = await createDatabase();
    pool = createPool({ url, applicationName: 'test', maxConnections: 8, statementTimeoutMs: 10_000 }, (error) =>
      assert.fail(error),
    );
    await migrate(pool, [{ scope: 'gateway', directory: MIGRATIONS }]);
    workList = createWorkList(pool);
  });

  after(() => pool.close());

  beforeEach(() => pool.query('TRUNCATE gateway.operations'));

  async function insert(fields: Partial<OperationRow> = {}): Promise<string> {
    const id = fields.id ?? randomUUID();
    const row = {
      id,
      kind: 'charge',
      payment_id: id,
      idempotency_key: `charge-${id}`,
      amount_minor: 10_050,
      currency: 'USD',
      payment_token: null,
      trace_id: 'a'.repeat(32),
      requested_at: NOW - 60_000,
      gateway: 'simulator',
      state: 'requested',
      status: null,
      reason: null,
      gateway_payment_id: null,
      transaction_id: null,
      attempts: 0,
      calls: 0,
      next_attempt_at: NOW - 1,
      updated_at: NOW,
      ...fields,
    };
    const times = new Set(['requested_at', 'next_attempt_at', 'updated_at']);
    const entries = Object.entries(row).map(
      ([name, value]) => [name, times.has(name) && value !== null ? new Date(Number(value)) : value] as const,
    );
    const columns = entries.map(([name]) => name).join(', ');
    const places = entries.map((_entry, index) => `$${index + 1}`).join(', ');
    const values = entries.map(([, value]) => value);
    await pool.query(`INSERT INTO gateway.operations (${columns}) VALUES (${places})`, values);
    return id;
  }

  const idsOf = (rows: readonly { readonly id: string }[]) => rows.map(({ id }) => id);

  test('gives what is due, and keeps others from it until the lease is over', async () => {
    const id = await insert();
    await insert({ next_attempt_at: NOW + 1 });
    await insert({ next_attempt_at: null, state: 'answered', status: 'SUCCESS' });
    await insert({ gateway: 'another' });
    const [claimed, ...others] = await workList.claimDue(DUE);
    assert.deepEqual(others, []);
    assert.partialDeepStrictEqual(claimed, {
      id,
      amount_minor: 10_050,
      requested_at: NOW - 60_000,
      state: 'requested',
      abandoned: true,
    });
    assert.deepEqual(idsOf(await workList.claimDue({ ...DUE, now: NOW + 14_999 })).includes(id), false);
    assert.deepEqual(idsOf(await workList.claimDue({ ...DUE, now: NOW + 15_000 })).includes(id), true);
  });

  test('what was claimed and never recorded is told from what was recorded', async () => {
    const id = await insert({ state: 'not_taken', attempts: 1 });
    const [first] = await workList.claimDue(DUE);
    assert.partialDeepStrictEqual(first, { state: 'not_taken', abandoned: false });
    const [second] = await workList.claimDue({ ...DUE, now: NOW + 15_000 });
    assert.partialDeepStrictEqual(second, { state: 'not_taken', abandoned: true });
    await pool.query('UPDATE gateway.operations SET attempts = 2, next_attempt_at = $2 WHERE id = $1', [
      id,
      new Date(NOW),
    ]);
    const [third] = await workList.claimDue(DUE);
    assert.partialDeepStrictEqual(third, { state: 'not_taken', abandoned: false });
  });

  test('the soonest due come first, and never more than asked for', async () => {
    const late = await insert({ next_attempt_at: NOW - 10 });
    const early = await insert({ next_attempt_at: NOW - 20 });
    assert.deepEqual(idsOf(await workList.claimDue({ ...DUE, limit: 1 })), [early]);
    assert.deepEqual(idsOf(await workList.claimDue({ ...DUE, limit: 1 })), [late]);
  });

  test('many claim at once, and each row goes to one of them', async () => {
    const ids = await Promise.all(Array.from({ length: 60 }, () => insert()));
    const claims = await Promise.all(Array.from({ length: 12 }, () => workList.claimDue({ ...DUE, limit: 10 })));
    assert.deepEqual(idsOf(claims.flat()).sort(), ids.sort());
  });

  test('while the gateway is out of reach only what can be given up is claimed', async () => {
    await insert();
    await insert({ state: 'not_taken', attempts: 1 });
    const old = await insert({ state: 'not_taken', attempts: 1, requested_at: NOW - 900_000 });
    await insert({ state: 'not_taken', attempts: 0, requested_at: NOW - 900_000 });
    await insert({ state: 'unknown', requested_at: NOW - 900_000 });
    assert.deepEqual(idsOf(await workList.claimDue({ ...DUE, onlyGivenUpBefore: NOW - 600_000 })), [old]);
  });

  test('a lease is extended, but what was answered or scheduled meanwhile is left alone', async () => {
    const held = await insert({ next_attempt_at: NOW + 1_000 });
    const answered = await insert({ next_attempt_at: null, state: 'answered' });
    const later = await insert({ next_attempt_at: NOW + 60_000 });
    const refs = [held, answered, later].map((id) => ({ id, kind: 'charge' as const }));
    await workList.extendLeases(refs, NOW, NOW + 15_000);
    const due = async (id: string) => (await workList.find({ id, kind: 'charge' }))?.next_attempt_at;
    assert.deepEqual(await Promise.all([held, answered, later].map(due)), [NOW + 15_000, null, NOW + 60_000]);
  });

  test('a charge and a refund with the same id are two', async () => {
    const id = await insert();
    await insert({ id, kind: 'refund', amount_minor: 5 });
    assert.equal((await workList.find({ id, kind: 'refund' }))?.amount_minor, 5);
    assert.equal((await workList.find({ id, kind: 'charge' }))?.amount_minor, 10_050);
    assert.equal(await workList.find({ id: randomUUID(), kind: 'charge' }), undefined);
  });

  test('what the platform believes: taken, refunded, and what is open, a page at a time', async () => {
    const answered = { state: 'answered', next_attempt_at: null } as const;
    const taken = await insert({ id: '00000000-0000-7000-8000-000000000001', ...answered, status: 'SUCCESS' });
    await insert({ kind: 'refund', payment_id: taken, amount_minor: 50, ...answered, status: 'SUCCESS' });
    await insert({ kind: 'refund', payment_id: taken, amount_minor: 70, ...answered, status: 'FAILED' });
    const declined = await insert({ id: '00000000-0000-7000-8000-000000000002', ...answered, status: 'FAILED' });
    const open = await insert({ id: '00000000-0000-7000-8000-000000000003' });
    const nothing = { currency: 'USD', taken_minor: 0, refunded_minor: 0, open: false };
    assert.deepEqual(await believedCharges(pool, null, 2), [
      { payment_id: taken, ...nothing, taken_minor: 10_050, refunded_minor: 50 },
      { payment_id: declined, ...nothing },
    ]);
    assert.deepEqual(await believedCharges(pool, declined, 2), [{ payment_id: open, ...nothing, open: true }]);
  });
});
