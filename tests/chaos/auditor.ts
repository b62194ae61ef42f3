import { setTimeout as sleep } from 'node:timers/promises';
import type { Sql } from '#kernel/postgres/sql.ts';
import { type RecordedCharge, reconcile } from '#services/gateway/reconciliation.ts';
import type { Book } from './book.ts';
import type { Evidence } from './evidence.ts';
import type { History } from './history.ts';

const SETTLE_LIMIT_MS = 180_000;
const SETTLE_POLL_MS = 250;
const FINAL = ['APPROVED', 'PARTIALLY_REFUNDED', 'REFUNDED', 'DECLINED', 'FAILED'];
/** Why payments are given up when services do not hear of one another. */
const NOT_ANSWERED = ['fraud_check_timeout', 'wallet_timeout'];

type Report = (finding: string) => void;

/**
 * Waits until nothing is under way any more: every payment and refund is final, in the log and in the read models.
 * @returns what was still open when the wait was over; empty when all is final
 */
export async function settle(sql: Sql): Promise<readonly string[]> {
  const deadline = performance.now() + SETTLE_LIMIT_MS;
  for (;;) {
    const open = await openWork(sql);
    if (open.length === 0 || performance.now() > deadline) return open;
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

/**
 * Everything that is not as it must be after the platform has settled, one line each: what clients were told, what the API
 * shows and what the gateway recorded, against the log; and the log against its invariants.
 */
export function audit(book: Book, evidence: Evidence): readonly string[] {
  const findings: string[] = [...book.broken];
  const report: Report = (finding) => void findings.push(finding);
  for (const { invariant, message } of evidence.history.findings) report(`${invariant}: ${message}`);
  auditKeys(book, evidence.history, report);
  auditPayments(book, evidence, report);
  auditWallets(book, evidence, report);
  auditGateway(evidence.charges, evidence.history, report);
  for (const saga of evidence.stuck) report(`saga ${saga.payment_id} is stuck: ${saga.state}, ${saga.stuck_reason}`);
  for (const letter of evidence.deadLetters) report(`dead letter of ${letter.consumer}: ${letter.error}`);
  for (const row of evidence.failures) report(`${row.consumer} failed at ${row.type} (${row.status}): ${row.error}`);
  return findings;
}

/** Payments that were given up since another service did not answer; whether a card gateway does is another matter. */
export function givenUp({ payments }: Pick<Evidence, 'payments'>): readonly string[] {
  const overdue = [...payments.values()].filter(({ reason }) => NOT_ANSWERED.includes(reason ?? ''));
  return overdue.map(({ id, reason }) => `payment ${id} was given up: ${reason}`);
}

/** One key, one effect: what was accepted is there once, and nothing is there that nobody was promised. */
function auditKeys(book: Book, { payments, refunds, references }: History, report: Report): void {
  auditEffects('payment', payments, promises(book, 'payment'), report);
  auditEffects('refund', refunds, promises(book, 'refund'), report);
  const movements = new Set([...promises(book, 'credit').keys(), ...promises(book, 'debit').keys()]);
  for (const key of movements) {
    const times = references.get(key) ?? 0;
    if (times !== 1) report(`the movement ${key} was acknowledged, and made ${times} times`);
  }
  for (const key of references.keys()) if (!movements.has(key)) report(`nobody was told of the movement ${key}`);
}

function promises(book: Book, kind: 'payment' | 'refund' | 'credit' | 'debit'): ReadonlyMap<string, string> {
  return new Map(book.accepted(kind).map(({ request, id }) => [request.key, id]));
}

/** @param found keys by id @param promised ids by key */
function auditEffects(
  kind: string,
  found: ReadonlyMap<string, string>,
  promised: ReadonlyMap<string, string>,
  report: Report,
): void {
  const made = new Map<string, string>();
  for (const [id, key] of found) {
    if (made.has(key)) report(`${key} led to two ${kind}s: ${made.get(key)} and ${id}`);
    if (!promised.has(key)) report(`nobody was told of the ${kind} ${id} of ${key}`);
    made.set(key, id);
  }
  for (const [key, id] of promised) {
    if (made.get(key) !== id) report(`the ${kind} ${id} of ${key} was acknowledged; in the log is ${made.get(key)}`);
  }
}

/** What the API shows of each acknowledged payment is what its client was told, and what the log says. */
function auditPayments(book: Book, { payments, history }: Evidence, report: Report): void {
  for (const { id, amountMinor, final } of book.accepted('payment')) {
    const payment = payments.get(id);
    const facts = history.auditor.payment(id);
    if (payment === undefined) report(`the API does not know the acknowledged payment ${id}`);
    else if (!FINAL.includes(payment.status)) report(`payment ${id} is ${payment.status}`);
    else if (payment.amount_minor !== amountMinor) report(`payment ${id} is of ${payment.amount_minor}`);
    else if (final !== undefined && final !== beforeRefunds(payment.status))
      report(`payment ${id} was told to be ${final}, and is ${payment.status}`);
    else if (beforeRefunds(payment.status) !== facts?.final)
      report(`payment ${id} is ${payment.status} in the API, ${facts?.final} in the log`);
    else if (payment.refunded_minor !== facts.refundedMinor)
      report(`payment ${id}: ${payment.refunded_minor} refunded in the API, ${facts.refundedMinor} in the log`);
  }
}

/** The final status of a payment, whatever was given back since. */
function beforeRefunds(status: string): string {
  return status.endsWith('REFUNDED') ? 'APPROVED' : status;
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
    const derived = history.auditor.wallet(wallet?.id ?? '')?.balanceMinor;
    if (wallet?.balance_minor !== balance || derived !== balance)
      report(
        `the wallet of ${userId} must hold ${balance}: ${wallet?.balance_minor} in the API, ${derived} in the log`,
      );
  }
}

/** The gateway's own record against what the log says that it took and gave back. */
function auditGateway(charges: readonly RecordedCharge[], { auditor, payments }: History, report: Report): void {
  const facts = [...payments.keys()].map((id) => auditor.payment(id)!).filter(({ method }) => method !== 'wallet');
  const logged = facts.map(({ id, currency, takenMinor, givenBackMinor }) => ({
    payment_id: id,
    currency,
    taken_minor: takenMinor,
    refunded_minor: givenBackMinor,
    open: false,
  }));
  for (const { payment_id, gateway, platform } of reconcile(charges, logged))
    report(`the gateway says of payment ${payment_id} ${JSON.stringify(gateway)}, the log ${JSON.stringify(platform)}`);
}
