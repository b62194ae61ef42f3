import type { RecordedEvent } from '#kernel/core/event.ts';
import { type Finding, type InvariantName, nameOf } from './finding.ts';

/** What is known of one payment from all streams that speak of it. Amounts in minor units. */
export interface PaymentFacts {
  readonly id: string;
  amountMinor: number;
  currency: string;
  method: string;
  /** `payments.created` was seen. */
  created: boolean;
  final: 'APPROVED' | 'DECLINED' | 'FAILED' | null;
  /** Successful debits and charges, and what they took. */
  takings: number;
  takenMinor: number;
  /** Given back by wallet or gateway: by refund or compensation id. */
  readonly givenBack: Map<string, number>;
  givenBackMinor: number;
  /** Refunds that the payment promised, and those it reported as made. */
  pendingMinor: number;
  refundedMinor: number;
  /** True when not all of its past was read: what its own stream says of money that moved elsewhere is then believed. */
  blind: boolean;
}

export function unknownPayment(id: string): PaymentFacts {
  return {
    id,
    amountMinor: 0,
    currency: '',
    method: '',
    created: false,
    final: null,
    takings: 0,
    takenMinor: 0,
    givenBack: new Map(),
    givenBackMinor: 0,
    pendingMinor: 0,
    refundedMinor: 0,
    blind: false,
  };
}

/** Taken and not given back. */
export function keptMinor(facts: PaymentFacts): number {
  return facts.takenMinor - facts.givenBackMinor;
}

function owedMinor({ final, amountMinor, refundedMinor }: PaymentFacts): number {
  return final === 'APPROVED' ? amountMinor - refundedMinor : 0;
}

/**
 * Takes an event of the payment into its facts.
 * @returns what it breaks
 */
export function auditPayment(facts: PaymentFacts, event: RecordedEvent): readonly Finding[] {
  const findings: Finding[] = [];
  const broken = (invariant: InvariantName, what: string): void => {
    const message = `payment ${facts.id}: ${what} (${nameOf(event)})`;
    findings.push({ invariant, message, eventId: event.id, subject: facts.id });
  };
  if (facts.blind) believe(facts, event);
  take(facts, event, broken);
  if (facts.givenBackMinor > facts.takenMinor && !facts.blind)
    broken('refunds_within', `${facts.givenBackMinor} were given back of ${facts.takenMinor} that were taken`);
  if (facts.refundedMinor + facts.pendingMinor > facts.amountMinor && facts.created)
    broken(
      'refunds_within',
      `${facts.refundedMinor} refunded and ${facts.pendingMinor} promised of ${facts.amountMinor}`,
    );
  return findings;
}

/**
 * The facts of a payment by its past, of which what stands in the streams of wallets may be missing.
 * @param events in the order of the log
 * @param blind whether more of it may be missing than its own stream tells of
 */
export function factsOfPast(id: string, events: readonly RecordedEvent[], blind: boolean): PaymentFacts {
  const facts = unknownPayment(id);
  facts.blind = true;
  for (const event of events) auditPayment(facts, event);
  facts.blind = blind;
  return facts;
}

/** Takes money as moved that the payment acts on. */
function believe(facts: PaymentFacts, { type, data }: RecordedEvent): void {
  const isCompensation = data.reason === 'compensation';
  const wasTaken = type === 'payments.approved' || (type === 'wallet.credit.requested' && isCompensation);
  if (wasTaken && facts.takings === 0) {
    facts.takings = 1;
    facts.takenMinor = data.amount_minor;
  }
  const isMade = type === 'payments.refunded' && !facts.givenBack.has(data.refund_id);
  const wasGivenBack = isMade || (type === 'payments.saga.advanced' && data.state === 'COMPENSATED');
  const missingMinor = isMade ? data.amount_minor : facts.takenMinor - facts.givenBackMinor;
  if (!wasGivenBack || missingMinor === 0) return;
  facts.givenBack.set(data.refund_id ?? 'compensation', missingMinor);
  facts.givenBackMinor += missingMinor;
}

type Report = (invariant: InvariantName, what: string) => void;

function take(facts: PaymentFacts, event: RecordedEvent, broken: Report): void {
  const { type, data } = event;
  switch (type) {
    case 'payments.created':
      create(facts, event, broken);
      return;
    case 'payments.approved':
      if (facts.takings === 0) broken('taken_once', 'approved, and nothing was taken');
      finish(facts, 'APPROVED', broken);
      return;
    case 'payments.declined':
    case 'payments.failed':
      finish(facts, data.status, broken);
      return;
    case 'wallet.debited':
      taken(facts, data.amount_minor, broken);
      return;
    case 'wallet.credited':
      givenBack(facts, data.refund_id, data.amount_minor, broken);
      return;
    case 'gateway.charge.answered':
      if (data.status === 'SUCCESS') taken(facts, data.amount_minor, broken);
      return;
    case 'gateway.refund.answered':
      if (data.status === 'SUCCESS') givenBack(facts, data.refund_id, data.amount_minor, broken);
      return;
    case 'payments.refund.requested':
      facts.pendingMinor += data.amount_minor;
      return;
    case 'payments.refund.failed':
      facts.pendingMinor -= data.amount_minor;
      return;
    case 'payments.refunded':
      refunded(facts, event, broken);
      return;
  }
}

function create(facts: PaymentFacts, { data }: RecordedEvent, broken: Report): void {
  if (facts.created) broken('one_final_status', 'created twice');
  facts.created = true;
  facts.amountMinor = data.amount_minor;
  facts.currency = data.currency;
  facts.method = data.method;
}

function finish(facts: PaymentFacts, status: NonNullable<PaymentFacts['final']>, broken: Report): void {
  if (facts.final !== null) broken('one_final_status', `${status} after ${facts.final}`);
  if (!facts.created) broken('one_final_status', `${status}, and it was never created`);
  facts.final = status;
}

function taken(facts: PaymentFacts, amountMinor: number, broken: Report): void {
  if (!facts.created) broken('taken_once', 'taken, and it was never created');
  facts.takings += 1;
  facts.takenMinor += amountMinor;
  if (facts.takings > 1) broken('taken_once', `taken ${facts.takings} times`);
  if (facts.created && amountMinor !== facts.amountMinor)
    broken('taken_once', `${amountMinor} taken instead of ${facts.amountMinor}`);
}

function givenBack(facts: PaymentFacts, id: string, amountMinor: number, broken: Report): void {
  if (facts.givenBack.has(id)) broken('refunds_within', `${id} was given back twice`);
  facts.givenBack.set(id, amountMinor);
  facts.givenBackMinor += amountMinor;
}

function refunded(facts: PaymentFacts, { data }: RecordedEvent, broken: Report): void {
  facts.pendingMinor -= data.amount_minor;
  facts.refundedMinor += data.amount_minor;
  if (!facts.givenBack.has(data.refund_id))
    broken('refunds_within', `refund ${data.refund_id} was reported and not made`);
  if (facts.refundedMinor !== data.refunded_minor)
    broken('refunds_within', `${data.refunded_minor} stated as refunded instead of ${facts.refundedMinor}`);
}

/** Whether the payment has ended otherwise than its money: right only while that is on its way. */
export function isUnsettled(facts: PaymentFacts): boolean {
  return facts.final !== null && facts.pendingMinor === 0 && keptMinor(facts) !== owedMinor(facts);
}

/** What is wrong with a payment that nothing more is expected of. */
export function auditAtRest(facts: PaymentFacts): readonly Finding[] {
  const findings: Finding[] = [];
  const broken = (invariant: InvariantName, what: string): void => {
    findings.push({ invariant, message: `payment ${facts.id}: ${what}`, subject: facts.id });
  };
  if (facts.final === null) broken('one_final_status', 'it has no final status');
  if (facts.pendingMinor !== 0) broken('refunds_within', `${facts.pendingMinor} promised and never given back`);
  else if (facts.final !== null && keptMinor(facts) !== owedMinor(facts))
    broken('taken_once', `${facts.final}: ${keptMinor(facts)} were kept instead of ${owedMinor(facts)}`);
  return findings;
}
