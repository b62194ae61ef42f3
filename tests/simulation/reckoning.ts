import type { RecordedEvent } from '#kernel/core/event.ts';
import type { MemoryTables } from '#kernel/event-store/memory/tables.ts';
import { type RecordedCharge, reconcile } from '#services/gateway/reconciliation.ts';
import { paymentIdOf, purchaseIdOf } from '#services/purchases/contract.ts';
import { walletIdOf } from '#services/wallets/contract.ts';
import { CLEARING, gatewayAccount } from '#services/wallets/ledger.ts';
import type { serviceDefinitions } from '#src/composition/services.ts';
import type { Auditor } from '#src/invariants/auditor.ts';
import type { Finding } from '#src/invariants/finding.ts';
import type { Acknowledged } from './clients.ts';
import { checkReadModel } from './read-models.ts';
import { type BuyOperation, isSure, PRODUCTS } from './shop.ts';
import { CURRENCY } from './terms.ts';
import { describeOperation, expectedStatuses, type Operation, type PayOperation } from './workload.ts';

/** Everything that is compared at the end of a simulation. */
export interface End {
  readonly plan: readonly Operation[];
  readonly told: ReadonlyMap<Operation, Acknowledged>;
  readonly auditor: Auditor;
  readonly events: readonly RecordedEvent[];
  readonly tables: MemoryTables;
  readonly record: readonly RecordedCharge[];
  readonly definitions: ReturnType<typeof serviceDefinitions>;
  /** True when nothing went wrong: then everything ends as it was meant to. */
  readonly calm: boolean;
  readonly limits: {
    /** How often the platform calls the gateway for one charge. */
    readonly maxCalls: number;
    /** Purchases that one product is kept for at the same time. */
    readonly maxReservations: number;
  };
}

/** What is wrong once everything has come to rest; each as a line. */
export function reckon(end: End): readonly string[] {
  const findings: readonly Finding[] = [...end.auditor.atRest(), ...checkReadModels(end)];
  return [
    ...findings.map(({ invariant, message }) => `${invariant}: ${message}`),
    ...checkPayments(end),
    ...checkPurchases(end),
    ...checkStock(end),
    ...checkWallets(end),
    ...checkGateway(end),
    ...checkDeadLetters(end),
  ];
}

function checkReadModels({ definitions, events, tables }: End): readonly Finding[] {
  const projections = [...definitions.values()].flatMap(({ inline, projections }) => [...inline, ...projections]);
  return projections.flatMap((projection) => checkReadModel(projection, events, tables));
}

/** Each payment that was acknowledged is there, once, and ended as it could; there are no others. */
function checkPayments({ plan, told, auditor, events, calm, limits }: End): readonly string[] {
  const findings: string[] = [];
  const operated = new Set(plan.filter((each) => each.kind === 'operate').map(({ of }) => of));
  const acknowledged = plan.filter((each): each is PayOperation => each.kind === 'pay');
  for (const pay of acknowledged) {
    const id = told.get(pay)?.id ?? '';
    const facts = auditor.payment(id);
    if (facts?.created !== true) {
      findings.push(`lost: ${describeOperation(pay)}, acknowledged as ${id}`);
      continue;
    }
    const expected = expectedStatuses(pay, limits.maxCalls);
    const mayFail = !calm || operated.has(pay);
    if (!expected.includes(facts.final!) && !(mayFail && facts.final === 'FAILED'))
      findings.push(`payment ${id} (${describeOperation(pay)}) is ${facts.final}, expected ${expected.join(' or ')}`);
  }
  const created = events.filter(({ type, data }) => type === 'payments.created' && !purchaseIdOf(data.id)).length;
  if (created !== acknowledged.length) findings.push(`${acknowledged.length} payments were asked for, ${created} made`);
  return findings;
}

/** Each purchase that was acknowledged is there, once, and ended as it could; there are no others. */
function checkPurchases({ plan, told, auditor, events, calm, limits }: End): readonly string[] {
  const findings: string[] = [];
  const cancelled = new Set(plan.filter((each) => each.kind === 'cancel').map(({ of }) => of));
  const acknowledged = plan.filter((each): each is BuyOperation => each.kind === 'buy');
  for (const buy of acknowledged) {
    const id = told.get(buy)?.id ?? '';
    const facts = auditor.purchase(id);
    if (facts === undefined) findings.push(`lost: ${describeOperation(buy)}, acknowledged as ${id}`);
    else if (
      calm &&
      limits.maxReservations > plan.length &&
      isSure(buy) &&
      !cancelled.has(buy) &&
      facts.final !== 'COMPLETED'
    )
      findings.push(`purchase ${id} (${describeOperation(buy)}) is ${facts.final}, expected COMPLETED`);
  }
  const created = events.filter(({ type }) => type === 'purchase.created').length;
  if (created !== acknowledged.length)
    findings.push(`${acknowledged.length} purchases were asked for, ${created} made`);
  return findings;
}

/** Of each product there is what came in and was not sold, and nothing is kept any more. */
function checkStock({ told, auditor }: End): readonly string[] {
  return PRODUCTS.flatMap(({ sku, productId }) => {
    let expected = 0;
    for (const [operation, { status, id }] of told) {
      if (operation.kind === 'stock' && operation.productId === productId && status === 201)
        expected += operation.change;
      if (operation.kind === 'buy') expected -= auditor.purchase(id)?.out.get(productId) ?? 0;
    }
    const { onHand = 0, reserved = 0 } = auditor.stock(productId) ?? {};
    return onHand === expected && reserved === 0
      ? []
      : [`stock_adds_up: ${onHand} of ${sku} are there and ${reserved} kept, there should be ${expected}`];
  });
}

/** Each wallet has what was put in and not taken out. */
function checkWallets(end: End): readonly string[] {
  const balances = new Map<string, number>();
  const add = (userId: string, amount: number): void => void balances.set(userId, (balances.get(userId) ?? 0) + amount);
  for (const [operation, amount] of movements(end)) add(operation, amount);
  for (const [pay, { id }] of end.told) {
    if ((pay.kind !== 'pay' && pay.kind !== 'buy') || pay.method !== 'wallet') continue;
    const facts = end.auditor.payment(paymentOf(pay, id));
    if (facts !== undefined) add(pay.customerId, facts.givenBackMinor - facts.takenMinor);
  }
  return [...balances]
    .filter(([userId, balance]) => (end.auditor.wallet(walletIdOf(userId))?.balanceMinor ?? 0) !== balance)
    .map(([userId, balance]) => {
      const found = end.auditor.wallet(walletIdOf(userId))?.balanceMinor;
      return `${userId} has ${found}, and should have ${balance}`;
    });
}

/** What an operation is paid by. */
function paymentOf({ kind }: Operation, id: string): string {
  return kind === 'buy' ? paymentIdOf(id) : id;
}

/** Those that were acknowledged, each reference once. */
function movements({ told }: End): readonly (readonly [userId: string, signedMinor: number])[] {
  const made = new Map<string, readonly [string, number]>();
  for (const [operation, { status }] of told) {
    if (operation.kind !== 'move' || status !== 201) continue;
    const { userId, type, amountMinor, reference } = operation;
    made.set(`${userId} ${reference}`, [userId, type === 'Credit' ? amountMinor : -amountMinor]);
  }
  return [...made.values()];
}

/** What the gateway took, payment by payment, and in the ledger as a whole. */
function checkGateway({ record, auditor, told }: End): readonly string[] {
  const cards = [...told].filter(
    ([operation]) => (operation.kind === 'pay' || operation.kind === 'buy') && operation.method !== 'wallet',
  );
  const believed = cards.map(([operation, told]) => {
    const id = paymentOf(operation, told.id);
    const facts = auditor.payment(id);
    return {
      payment_id: id,
      currency: CURRENCY,
      taken_minor: facts?.takenMinor ?? 0,
      refunded_minor: facts?.givenBackMinor ?? 0,
      open: false,
    };
  });
  const findings = reconcile(record, believed).map(
    ({ payment_id, gateway, platform }) =>
      `gateway_agrees: payment ${payment_id}: the gateway says ${JSON.stringify(gateway)}, the platform ${JSON.stringify(platform)}`,
  );
  const taken = record.reduce((sum, each) => sum + (each.taken ? each.amount_minor : 0) - each.refunded_minor, 0);
  const ledger = auditor.balance(gatewayAccount('simulator'), CURRENCY);
  if (taken + ledger !== 0) findings.push(`gateway_agrees: the gateway has ${taken}, the ledger says ${-ledger}`);
  const between = auditor.balance(CLEARING, CURRENCY);
  if (between !== 0) findings.push(`balanced: ${between} are still on their way`);
  return findings;
}

/** Nothing that is asked for here is malformed, so nothing can end there. */
function checkDeadLetters({ tables }: End): readonly string[] {
  return [...tables.failures.values()].map(
    ({ consumer, eventId, status, error }) => `${consumer} could not handle event ${eventId} (${status}): ${error}`,
  );
}
