import type { RecordedEvent } from '#kernel/core/event.ts';

/** Every invariant of the platform: what it is called, and what it says. */
export const INVARIANTS = {
  balanced: 'the postings sum to zero in every currency',
  within_limit: 'no wallet is below its limit, and each movement starts from the balance before it',
  one_final_status: 'a payment has one final status, and follows its steps',
  taken_once: 'a payment is taken by at most one successful debit or charge, and only what was taken is approved',
  refunds_within: 'what is given back of a payment is never more than what was taken',
  stock_adds_up: 'no more is sold or promised than there is, and what is reserved are the open reservations',
  paid_and_delivered: 'a purchase is paid and its units have left the house, or neither',
  gateway_agrees: 'what the gateway took is what the ledger says it took',
  read_model: 'every read model equals the fold of its events',
  handled_once: 'every event of the bus takes effect once',
  in_order: 'the events of one key that one process or one stream wrote take effect in their order',
  has_owner: 'no saga is past its deadline without anybody who looks after it',
  chain_whole: 'the hash chain is whole: nothing was changed, removed or inserted',
} as const;

export type InvariantName = keyof typeof INVARIANTS;

/** An invariant that is broken. */
export interface Finding {
  readonly invariant: InvariantName;
  /** What is wrong and where, for a person. */
  readonly message: string;
  /** The first event that shows it, where one does. */
  readonly eventId?: string;
  /** The payment, wallet, account, product or purchase concerned. */
  readonly subject?: string;
}

/** How a finding names an event: `event 0190…, wallet.debited at wallet/5f3a…@7`. */
export function nameOf({ id, type, aggregateType, aggregateId, streamPosition }: RecordedEvent): string {
  return `event ${id}, ${type} at ${aggregateType}/${aggregateId}@${streamPosition}`;
}
