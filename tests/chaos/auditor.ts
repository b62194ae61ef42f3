import { setTimeout as sleep } from 'node:timers/promises';
import type { Sql } from '#kernel/postgres/sql.ts';
import { reconcile } from '#services/gateway/reconciliation.ts';
import type { Book } from './book.ts';
import type { Evidence, ShownPayment } from './evidence.ts';
import { type PaymentHistory, refundedMinor } from './history.ts';

const SETTLE_LIMIT_MS = 180_000;
const SETTLE_POLL_MS = 250;
const FINAL = ['APPROVED', 'PARTIALLY_REFUNDED', 'REFUNDED', 'DECLINED', 'FAILED'];

type Report = (finding: string) => void;

/**
 * Waits until nothing is under way any more: every payment and refund is final, in the log and in the read models.
 * @returns what was still open when the wait was over; empty when all is final
 */
export async function settle(sql: Sql): Promise<readonly string[]> {
  const deadline = Date.now() + SETTLE_LIMIT_MS;
  for (;;) {
    const open = await openWork(sql);
    if (open.length === 0 || Date.now() > deadline) return open;
    await sleep(SETTLE_POLL_MS);
  }
}

async function openWork(sql: Sql): Promise<readonly string[]> {
  const rows = await sql.query<{ what: string }>(`
    SELECT 'payment ' || payment_id || ' is ' || status || ', its saga ' || saga_state AS what
      FROM payments.saga_projections WHERE deadline_at IS NOT NULL OR status = 'PENDING'
    UNION ALL SELECT 'refund ' || refund_id || ' is ' || status FROM payments.refunds WHERE status = 'PENDING'
    UNION ALL SELECT kind || ' ' || id || ' at the gateway is ' || state FROM gateway.operations WHERE next_attempt_at IS NOT NULL
    UNION ALL SELECT 'payment ' || aggregate_id || ' is in the log and not in the read model' FROM events
      WHERE event_type = 'payments.created' AND aggregate_id NOT IN (SELECT payment_id FROM payments.saga_projections)
    LIMIT 20`);
  return rows.map(({ what }) => what);
}

/** Everything that is not as it must be after the platform has settled, one line each. */
export function audit(book: Book, evidence: Evidence): readonly string[] {
  const findings: string[] = [...book.broken];
  const report: Report = (finding) => void findings.push(finding);
  auditKeys(book, evidence, report);
  auditPayments(book, evidence, report);
  for (const [id, payment] of evidence.history.payments) auditMoney(id, payment, evidence.payments.get(id), report);
  auditWallets(book, evidence, report);
  auditLedger(evidence, report);
  auditGateway(evidence, report);
  for (const saga of evidence.stuck) report(`saga ${saga.payment_id} is stuck: ${saga.state}, ${saga.stuck_reason}`);
  for (const letter of evidence.deadLetters) report(`dead letter of ${letter.consumer}: ${letter.error}`);
  for (const row of evidence.failures) report(`${row.consumer} failed at ${row.type} (${row.status}): ${row.error}`);
  return findings;
}

/** One key, one effect: what was accepted is there once, and nothing is there that nobody was promised. */
function auditKeys(book: Book, { history }: Evidence, report: Report): void {
  const payments = [...history.payments].map(([id, { key = id }]) => [key, id] as const);
  const refunds = [...history.payments.values()].flatMap((payment) =>
    [...payment.refunds].map(([id, { key }]) => [key, id] as const),
  );
  auditEffects('payment', payments, promises(book, 'payment'), report);
  auditEffects('refund', refunds, promises(book, 'refund'), report);
  const movements = new Set([...promises(book, 'credit').keys(), ...promises(book, 'debit').keys()]);
  for (const key of movements) {
    const times = history.references.get(key) ?? 0;
    if (times !== 1) report(`the movement ${key} was acknowledged, and made ${times} times`);
  }
  for (const key of history.references.keys())
    if (!movements.has(key)) report(`nobody was told of the movement ${key}`);
}

function promises(book: Book, kind: 'payment' | 'refund' | 'credit' | 'debit'): ReadonlyMap<string, string> {
  return new Map(book.accepted(kind).map(({ request, id }) => [request.key, id]));
}

function auditEffects(
  kind: string,
  found: readonly (readonly [key: string, id: string])[],
  promised: ReadonlyMap<string, string>,
  report: Report,
): void {
  const made = new Map<string, string>();
  for (const [key, id] of found) {
    if (made.has(key)) report(`${key} led to two ${kind}s: ${made.get(key)} and ${id}`);
    if (!promised.has(key)) report(`nobody was told of the ${kind} ${id} of ${key}`);
    made.set(key, id);
  }
  for (const [key, id] of promised) {
    if (made.get(key) !== id) report(`the ${kind} ${id} of ${key} was acknowledged; in the log is ${made.get(key)}`);
  }
}

function auditPayments(book: Book, { payments }: Evidence, report: Report): void {
  for (const { id, amountMinor, final } of book.accepted('payment')) {
    const payment = payments.get(id);
    if (payment === undefined) report(`the API does not know the acknowledged payment ${id}`);
    else if (!FINAL.includes(payment.status)) report(`payment ${id} is ${payment.status}`);
    else if (payment.amount_minor !== amountMinor) report(`payment ${id} is of ${payment.amount_minor}`);
    else if (final !== undefined && final !== beforeRefunds(payment.status))
      report(`payment ${id} was told to be ${final}, and is ${payment.status}`);
  }
}

/** The final status of a payment, whatever was given back since. */
function beforeRefunds(status: string): string {
  return status.endsWith('REFUNDED') ? 'APPROVED' : status;
}

/** What was taken for a payment, and what went back, agree with how it ended. */
function auditMoney(id: string, payment: PaymentHistory, shown: ShownPayment | undefined, report: Report): void {
  const { method, completions, amountMinor, refunds } = payment;
  const [status] = completions;
  if (completions.length !== 1) report(`payment ${id} has ${completions.length} final statuses: ${completions}`);
  if (shown !== undefined && beforeRefunds(shown.status) !== status)
    report(`payment ${id} is ${shown.status} in the API, ${status} in the log`);
  for (const [refundId, { ends }] of refunds)
    if (ends.length !== 1) report(`refund ${refundId} of ${id} has ${ends.length} ends: ${ends}`);
  const refunded = refundedMinor(payment);
  if (shown !== undefined && shown.refunded_minor !== refunded)
    report(`payment ${id}: ${shown.refunded_minor} refunded in the API, ${refunded} in the log`);
  if (refunded > amountMinor) report(`payment ${id} of ${amountMinor}: ${refunded} were refunded`);
  const taken = method === 'wallet' ? payment.debitedMinor : payment.charges * amountMinor;
  const back = method === 'wallet' ? payment.creditedMinor : payment.givenBackByGatewayMinor;
  const kept = status === 'APPROVED' ? amountMinor - refunded : 0;
  if (payment.debits + payment.charges > 1) report(`payment ${id} was taken ${payment.debits + payment.charges} times`);
  if (taken - back !== kept) report(`${status} payment ${id}: ${taken} taken, ${back} given back, ${kept} to be kept`);
}

/** opening + credits − debits − approved payments + refunds, as the clients know them. */
function auditWallets(book: Book, { wallets, payments, history }: Evidence, report: Report): void {
  const expected = new Map(book.accepted('wallet').map(({ userId }) => [userId, 0]));
  const add = (userId: string, amount: number) => expected.set(userId, (expected.get(userId) ?? 0) + amount);
  for (const { userId, amountMinor } of book.accepted('credit')) add(userId, amountMinor);
  for (const { userId, amountMinor } of book.accepted('debit')) add(userId, -amountMinor);
  for (const { id, userId, amountMinor, method } of book.accepted('payment')) {
    const payment = payments.get(id);
    if (method !== 'wallet' || payment === undefined || beforeRefunds(payment.status) !== 'APPROVED') continue;
    add(userId, payment.refunded_minor - amountMinor);
  }
  const shown = new Map(wallets.map((wallet) => [wallet.user_id, wallet]));
  for (const [userId, balance] of expected) {
    const wallet = shown.get(userId);
    const derived = history.balances.get(wallet?.id ?? '');
    if (wallet?.balance_minor !== balance || derived !== balance)
      report(
        `the wallet of ${userId} must hold ${balance}: ${wallet?.balance_minor} in the API, ${derived} in the log`,
      );
    if (balance < 0) report(`the wallet of ${userId} is below zero: ${balance}`);
  }
}

function auditLedger({ trialBalance, accounts, history }: Evidence, report: Report): void {
  if (!trialBalance.balanced) report(`the ledger does not sum to zero: ${JSON.stringify(trialBalance.currencies)}`);
  for (const account of new Set([...accounts.keys(), ...history.accounts.keys()])) {
    const [shown, derived] = [accounts.get(account) ?? 0, history.accounts.get(account) ?? 0];
    if (shown !== derived) report(`account ${account}: ${shown} in the API, ${derived} by the postings of the log`);
  }
}

/** The gateway's own record against the platform's belief, and against how each payment ended. */
function auditGateway({ charges, believed, payments }: Evidence, report: Report): void {
  for (const difference of reconcile(charges, believed))
    report(`the gateway does not agree: ${JSON.stringify(difference)}`);
  const taken = new Map<string, number>();
  for (const { reference, taken: isTaken } of charges)
    if (isTaken) taken.set(reference, (taken.get(reference) ?? 0) + 1);
  for (const [id, times] of taken) if (times > 1) report(`the card of payment ${id} was charged ${times} times`);
  for (const charge of charges) {
    const payment = payments.get(charge.reference);
    const kept = charge.taken ? charge.amount_minor - charge.refunded_minor : 0;
    const approved = payment !== undefined && beforeRefunds(payment.status) === 'APPROVED';
    const right = approved ? payment.amount_minor - payment.refunded_minor : 0;
    if (kept !== right)
      report(
        `the gateway keeps ${kept} of payment ${charge.reference}, which is ${payment?.status}: ${right} is right`,
      );
  }
}
