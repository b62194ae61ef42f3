import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pay, refund, walletWith } from '../../support/money.ts';
import { startPlatform } from '../../support/platform.ts';

const { api } = await startPlatform();

interface Entry {
  readonly kind: string;
  readonly type?: string;
  readonly event_id?: string;
  readonly causation_id?: string;
  readonly trace_id?: string;
  readonly at: string;
  readonly summary: string;
  readonly postings?: readonly { readonly account: string; readonly amount_minor: number; readonly currency: string }[];
}

async function timelineOf(id: string): Promise<readonly Entry[]> {
  return (await api.get(`/payments/${id}/timeline`)).body.data;
}

/** Every event stands behind the one that led to it, and has its trace id; the first has that of the payment. */
function assertCausalOrder(entries: readonly Entry[], traceId: string): void {
  const traces = new Map<string, string>();
  for (const { event_id, causation_id, type, trace_id } of entries) {
    if (type === undefined) continue;
    if (traces.size === 0) assert.equal(trace_id, traceId);
    else if (causation_id !== undefined) assert.equal(trace_id, traces.get(causation_id), `${type} and its cause`);
    traces.set(event_id!, trace_id!);
  }
}

function typesOf(entries: readonly Entry[]): readonly string[] {
  return entries.flatMap(({ type }) => type ?? []);
}

function assertBalanced(entries: readonly Entry[]): void {
  const postings = entries.filter(({ kind }) => kind === 'posting');
  assert.ok(postings.length > 0);
  for (const entry of postings) {
    const sum = entry.postings!.reduce((total, { amount_minor }) => total + amount_minor, 0);
    assert.equal(sum, 0, entry.summary);
  }
}

test('a wallet payment with a refund: every event in causal order, saga steps, and balanced postings', async () => {
  const customer_id = await walletWith(api, '50.00');
  const payment = await pay(api, { method: 'wallet', customer_id, amount: '20.00' });
  await refund(api, payment.id, { amount: '5.00' });
  const entries = await timelineOf(payment.id);
  assertCausalOrder(entries, payment.trace_id);
  assertBalanced(entries);
  assert.deepEqual(typesOf(entries), [
    'payments.created',
    'payments.checked',
    'wallet.debit.requested',
    'wallet.debited',
    'payments.approved',
    'payments.refund.requested',
    'wallet.credit.requested',
    'wallet.credited',
    'payments.refunded',
  ]);
  const steps = entries.filter(({ kind }) => kind === 'saga').map(({ summary }) => summary.split(' → ').at(-1));
  assert.deepEqual(steps.slice(0, 3), ['CHECKING_FRAUD', 'DEBITING', 'COMPLETED']);
});

test('a card payment: what was asked of the gateway and what it said, and never the token', async () => {
  const payment = await pay(api, { payment_token: 'tok_async' });
  const answer = await api.get(`/payments/${payment.id}/timeline`);
  const entries: readonly Entry[] = answer.body.data;
  assertCausalOrder(entries, payment.trace_id);
  assertBalanced(entries);
  for (const type of ['gateway.charge.requested', 'gateway.charge.sent', 'gateway.charge.answered']) {
    assert.ok(typesOf(entries).includes(type), type);
  }
  assert.equal(typesOf(entries).at(-1), 'payments.approved');
  assert.doesNotMatch(answer.text, /tok_async/);
  const { text } = await api.get(`/payments/${payment.id}`);
  assert.doesNotMatch(text, /tok_async/);
});
