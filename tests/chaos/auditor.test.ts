import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NewEvent } from '#kernel/core/decider.ts';
import { recorded } from '../support/recorded.ts';
import { audit, givenUp } from './auditor.ts';
import { createBook, type Operation } from './book.ts';
import type { Evidence } from './evidence.ts';
import { historyOf } from './history.ts';

const USER = 'user-1';
const DEPOSIT = { wallet_id: 'wallet', currency: 'USD', amount_minor: 1000, reference: 'deposit' };
const DEBIT = { wallet_id: 'wallet', currency: 'USD', amount_minor: 300, payment_id: 'paid' };
const CHARGE = { gateway: 'simulator', payment_id: 'charged', currency: 'USD', amount_minor: 500, status: 'SUCCESS' };

const event = (type: string, data: object): NewEvent => ({ type, data });
const payment = (id: string, amount_minor: number, method: string) => ({ id, amount_minor, method, currency: 'USD' });

/** A deposit, a payment from the wallet and one by card, as they stand in the log. */
function logged() {
  const [paid, charged] = [payment('paid', 300, 'wallet'), payment('charged', 500, 'credit_card')];
  return {
    wallet: [
      event('wallet.opened', { wallet_id: 'wallet', overdraft_limit_minor: 0 }),
      event('wallet.credited', { ...DEPOSIT, previous_balance_minor: 0, new_balance_minor: 1000 }),
      event('wallet.debited', { ...DEBIT, previous_balance_minor: 1000, new_balance_minor: 700 }),
    ],
    payments: [
      event('payments.created', { ...paid, metadata: { key: 'pay' } }),
      event('payments.approved', paid),
      event('payments.created', { ...charged, metadata: { key: 'charge' } }),
      event('payments.approved', charged),
    ],
    gateway: [event('gateway.charge.answered', CHARGE)],
  };
}

/** What clients were told of it. */
function told() {
  const book = createBook();
  const accept = (
    kind: Operation['kind'],
    key: string,
    id: string,
    amountMinor: number,
    more: Partial<Operation> = {},
  ) =>
    book.note(
      { kind, request: { key, path: '', body: {} }, userId: USER, amountMinor, ...more },
      { status: 201, body: { id, status: kind === 'payment' ? 'APPROVED' : 'OPEN' } },
    );
  accept('wallet', 'open', 'wallet', 0);
  accept('credit', 'deposit', 'movement', 1000);
  accept('payment', 'pay', 'paid', 300, { method: 'wallet' });
  accept('payment', 'charge', 'charged', 500, { method: 'credit_card' });
  return { book, accept };
}

const SHOWN = { status: 'APPROVED', reason: null, refunded_minor: 0 };

/** What the API and the gateway say of it. */
function shown() {
  return {
    payments: new Map([
      ['paid', { ...SHOWN, id: 'paid', amount_minor: 300 }],
      ['charged', { ...SHOWN, id: 'charged', amount_minor: 500 }],
    ]),
    wallets: [{ id: 'wallet', user_id: USER, balance_minor: 700 }],
    charges: [{ reference: 'charged', currency: 'USD', amount_minor: 500, taken: true, refunded_minor: 0 }],
    stuck: [] as Evidence['stuck'][number][],
    deadLetters: [] as Evidence['deadLetters'][number][],
    failures: [] as Evidence['failures'][number][],
  };
}

type Scene = { readonly log: ReturnType<typeof logged>; readonly seen: ReturnType<typeof shown> } & ReturnType<
  typeof told
>;

/** What is found after a change to what is all right. */
async function findingsAfter(change: (scene: Scene) => void): Promise<readonly string[]> {
  const scene: Scene = { log: logged(), seen: shown(), ...told() };
  change(scene);
  const { wallet, payments, gateway } = scene.log;
  const [open, ...movements] = recorded('wallet', 'wallet', wallet);
  const own = recorded('payment', 'payments', payments);
  const [created, others] = [true, false].map((is) => own.filter(({ type }) => (type === 'payments.created') === is));
  const events = [open!, ...created!, ...movements, ...recorded('charge', 'charged', gateway), ...others!];
  return audit(scene.book, { ...scene.seen, history: await historyOf([{ events }]) });
}

test('nothing is found where everything agrees', async () => {
  assert.deepEqual(await findingsAfter(() => undefined), []);
});

const MISTAKES: Readonly<Record<string, readonly [change: (scene: Scene) => void, finding: RegExp]>> = {
  'a payment that was acknowledged and is not in the log': [
    ({ accept }) => accept('payment', 'lost', 'lost', 1, { method: 'wallet' }),
    /the payment lost of lost was acknowledged; in the log is undefined/,
  ],
  'a payment that nobody was told of': [
    ({ log }) => log.payments.push(event('payments.created', payment('secret', 1, 'wallet'))),
    /nobody was told of the payment secret/,
  ],
  'two payments of one key': [
    ({ log }) =>
      log.payments.push(event('payments.created', { ...payment('again', 1, 'wallet'), metadata: { key: 'pay' } })),
    /pay led to two payments: paid and again/,
  ],
  'a movement that was made twice': [
    ({ log }) =>
      log.wallet.push(event('wallet.credited', { ...DEPOSIT, previous_balance_minor: 700, new_balance_minor: 1700 })),
    /the movement deposit was acknowledged, and made 2 times/,
  ],
  'a payment that was taken twice': [
    ({ log }) =>
      log.wallet.push(event('wallet.debited', { ...DEBIT, previous_balance_minor: 700, new_balance_minor: 400 })),
    /taken_once: payment paid: taken 2 times/,
  ],
  'another status than the client was told': [
    ({ seen }) => Object.assign(seen.payments.get('paid')!, { status: 'DECLINED' }),
    /payment paid was told to be APPROVED, and is DECLINED/,
  ],
  'a refund that only the API knows': [
    ({ seen }) => Object.assign(seen.payments.get('paid')!, { refunded_minor: 1 }),
    /payment paid: 1 refunded in the API, 0 in the log/,
  ],
  'a balance that is another one in the API': [
    ({ seen }) => Object.assign(seen.wallets[0]!, { balance_minor: 699 }),
    /the wallet of user-1 must hold 700: 699 in the API, 700 in the log/,
  ],
  'a card that was charged twice': [
    ({ seen }) => seen.charges.push(seen.charges[0]!),
    /the gateway says of payment charged .*1000.*, the log .*500/,
  ],
  'another answer under the same key': [
    ({ book }) => book.noteRepeated(book.acknowledged[1]!, { status: 409, body: { code: 'conflict' } }),
    /deposit was answered 201 movement, then 409 conflict/,
  ],
  'a saga that is stuck': [
    ({ seen }) => seen.stuck.push({ payment_id: 'paid', state: 'DEBITING', stuck_reason: 'overdue' }),
    /saga paid is stuck/,
  ],
  'a dead letter': [
    ({ seen }) => seen.deadLetters.push({ consumer: 'wallets', error: 'it is not understood' }),
    /dead letter of wallets: it is not understood/,
  ],
};

for (const [what, [change, finding]] of Object.entries(MISTAKES))
  test(`found: ${what}`, async () => {
    const findings = await findingsAfter(change);
    assert.ok(
      findings.some((line) => finding.test(line)),
      `found was only: ${findings.join('; ')}`,
    );
  });

test('payments that were given up since nobody answered are found', () => {
  const shown = { ...SHOWN, id: 'late', amount_minor: 1 };
  const payments = new Map([
    ['paid', { ...shown, id: 'paid' }],
    ['poor', { ...shown, id: 'poor', status: 'DECLINED', reason: 'insufficient_funds' }],
    ['charged', { ...shown, id: 'charged', status: 'FAILED', reason: 'gateway_timeout' }],
    ['late', { ...shown, status: 'FAILED', reason: 'wallet_timeout' }],
  ]);
  assert.deepEqual(givenUp({ payments }), ['payment late was given up: wallet_timeout']);
});
