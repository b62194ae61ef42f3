import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { Answer } from './api.ts';
import { until } from './until.ts';

/** What is needed of an API: over the network, or within the process. */
interface Caller {
  get(path: string): Promise<Reply>;
  post(path: string, body: object, headers?: Readonly<Record<string, string>>): Promise<Reply>;
}
type Reply = Pick<Answer, 'status' | 'text' | 'body'>;

const WAIT = { prefer: 'wait=20' };

/** A name that no other test has used. */
export function newUser(): string {
  return `user-${randomUUID().slice(0, 8)}`;
}

/** Opens a wallet for a new user. @param deposit in major units, as text; @returns the user's id */
export async function walletWith(
  api: Caller,
  deposit: string,
  currency = 'USD',
  overdraftLimit = '0',
): Promise<string> {
  const user_id = newUser();
  const opened = await api.post('/wallets', { user_id, currency, overdraft_limit: overdraftLimit });
  assert.equal(opened.status, 201, opened.text);
  if (Number(deposit) > 0) await move(api, 'credits', user_id, deposit, `deposit of ${user_id}`);
  return user_id;
}

/** Moves money into or out of a wallet, which must succeed. */
export async function move(api: Caller, kind: 'credits' | 'debits', user: string, amount: string, reference: string) {
  const moved = await api.post(`/wallets/${user}/${kind}`, { amount, reason: 'test', reference });
  assert.equal(moved.status, 201, moved.text);
  return moved.body;
}

/** Makes a payment and waits for its end. @returns the payment in its final status */
export async function pay(api: Caller, fields: Readonly<Record<string, unknown>>) {
  const payment = { amount: '10.00', currency: 'USD', method: 'credit_card', customer_id: 'customer-1', ...fields };
  const created = await api.post('/payments', payment, WAIT);
  assert.equal(created.status, 201, created.text);
  return created.body.status === 'PENDING' ? finalPayment(api, created.body.id) : created.body;
}

/** Waits until the payment has a final status. @returns the payment */
export async function finalPayment(api: Caller, id: string) {
  let payment: Answer['body'];
  await until(`payment ${id} is final`, async () => {
    payment = (await api.get(`/payments/${id}`)).body;
    return payment.status !== 'PENDING';
  });
  return payment;
}

/** Asks for a refund and waits until it succeeded or failed. @returns the refund */
export async function refund(api: Caller, paymentId: string, fields: Readonly<Record<string, unknown>> = {}) {
  const path = `/payments/${paymentId}/refunds`;
  const asked = await api.post(path, { reason: 'test', ...fields });
  assert.equal(asked.status, 201, asked.text);
  let found = asked.body;
  await until(`refund ${found.id} is final`, async () => {
    const { body } = await api.get(path);
    found = body.data.find(({ id }: { id: string }) => id === found.id);
    return found.status !== 'PENDING';
  });
  return found;
}

/** The balance in minor units. */
export async function balanceOf(api: Caller, user: string): Promise<number> {
  const { status, body, text } = await api.get(`/wallets/${user}/balance`);
  assert.equal(status, 200, text);
  return body.balance_minor;
}

/** Every currency of the ledger sums to zero. */
export async function assertLedgerBalanced(api: Caller): Promise<void> {
  const { body } = await api.get('/api/v1/ledger/trial-balance');
  assert.equal(body.balanced, true, JSON.stringify(body));
}
