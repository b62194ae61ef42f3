import type { DeskParts, Outcome } from './charges.ts';
import { type Checked, problem, type Reply, refuse } from './http.ts';
import { parseRefund, type RefundInput } from './input.ts';
import type { Charge, Refund } from './record.ts';
import { keyReused, notFound, recordFull } from './refusals.ts';
import { behaviourOf } from './settlement.ts';
import { firstStatus, mustFindToken } from './tokens.ts';
import { refundView } from './views.ts';

export interface Refunds {
  /** `POST /v1/refunds`: gives money back, never more than was taken; the same key again gives the same refund. */
  give(key: string, body: unknown): Promise<Outcome>;
  byId(id: string): Reply;
  byKey(key: string): Reply;
}

export function createRefunds({ settings, record, settlement, now }: DeskParts): Refunds {
  async function give(key: string, body: unknown): Promise<Outcome> {
    const parsed = parseRefund(body);
    if (!parsed.ok) return parsed.refusal;
    const existing = record.refunds.byKey(key);
    if (existing !== undefined) return isSame(existing, parsed.value) ? answer(existing, 200) : keyReused();
    const checked = refundable(findCharge(parsed.value), parsed.value);
    if (!checked.ok) return checked.refusal;
    if (record.refunds.full()) return recordFull('refunds', settings.maxRefunds);
    const refund = begin(key, checked.value, parsed.value);
    return behaviourOf(refund).answer === 'never' ? 'never' : answer(refund, 201);
  }

  function findCharge({ chargeId, chargeReference }: RefundInput): Charge | undefined {
    if (chargeId !== undefined) return record.charges.byId(chargeId);
    return chargeReference === undefined ? undefined : record.chargeByReference(chargeReference);
  }

  function begin(key: string, charge: Charge, { amountMinor, currency, reference }: RefundInput): Refund {
    const behaviour = mustFindToken(charge.token).refund;
    const values = { idempotencyKey: key, charge, reference, amountMinor, currency, createdAt: now() };
    const refund = record.addRefund({ ...values, ...firstStatus(behaviour) });
    settlement.begin(refund);
    return refund;
  }

  async function answer(refund: Refund, status: 200 | 201): Promise<Reply> {
    if (behaviourOf(refund).answer === 'outcome') await settlement.settled(refund);
    return { status, body: refundView(refund), headers: status === 200 ? { 'idempotent-replayed': 'true' } : {} };
  }

  return {
    give,
    byId: (id) => found(record.refunds.byId(id)),
    byKey: (key) => found(record.refunds.byKey(key)),
  };
}

/** The charge, when this refund of it may be made: the money was taken, in this currency, and enough of it is left. */
function refundable(charge: Charge | undefined, { amountMinor, currency }: RefundInput): Checked<Charge> {
  if (charge === undefined) return refuse(notFound('charge'));
  if (charge.status !== 'succeeded') {
    return refuse(problem(409, 'charge_not_refundable', `nothing was taken: the charge is ${charge.status}`));
  }
  if (charge.currency !== currency) {
    return refuse(problem(422, 'currency_mismatch', `the charge is in ${charge.currency}`));
  }
  const left = charge.amountMinor - heldByRefunds(charge);
  if (amountMinor > left) {
    const detail = `${left} of ${charge.amountMinor} ${currency} minor units can still be refunded`;
    return refuse(problem(422, 'refund_exceeds_charge', detail, { refundable_minor: left }));
  }
  return { ok: true, value: charge };
}

/** Minor units given back or about to be: a pending refund holds its amount, a declined one does not. */
function heldByRefunds(charge: Charge): number {
  return charge.refunds
    .filter((refund) => refund.status !== 'declined')
    .reduce((sum, refund) => sum + refund.amountMinor, 0);
}

function isSame(refund: Refund, input: RefundInput): boolean {
  return (
    refund.amountMinor === input.amountMinor &&
    refund.currency === input.currency &&
    refund.reference === input.reference &&
    (input.chargeId === undefined || input.chargeId === refund.charge.id) &&
    (input.chargeReference === undefined || input.chargeReference === refund.charge.reference)
  );
}

function found(refund: Refund | undefined): Reply {
  return refund === undefined ? notFound('refund') : { status: 200, body: refundView(refund) };
}
