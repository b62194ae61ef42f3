/** How one call (a charge or a refund) goes. */
export interface Behaviour {
  /** What it ends as; `not_taken` leaves no record at all, as if the call had been lost on its way. */
  readonly outcome: 'succeeded' | 'declined' | 'not_taken';
  /** Stable code that goes with the outcome. */
  readonly reason: string;
  /** What the caller hears: the outcome, `pending` at once, or nothing until it gives up. */
  readonly answer: 'outcome' | 'pending' | 'never';
  /** Which delay (a setting) passes before the outcome is decided. */
  readonly decided: 'at_once' | 'after_slow' | 'after_async';
  /** How many calls with the same idempotency key get a 500 before one is carried out. */
  readonly errorsFirst: number;
  /** How the outcome is told by webhook; `out_of_order` sends it before the `pending` that precedes it. */
  readonly webhooks: 'none' | 'once' | 'twice' | 'out_of_order';
}

/** A card token: what a charge with it does, and what a refund of such a charge does. */
export interface Token {
  readonly name: string;
  readonly description: string;
  readonly charge: Behaviour;
  readonly refund: Behaviour;
}

/** Taken for a charge that names no token. */
export const DEFAULT_TOKEN = 'tok_visa';

const APPROVED: Behaviour = {
  outcome: 'succeeded',
  reason: 'approved',
  answer: 'outcome',
  decided: 'at_once',
  errorsFirst: 0,
  webhooks: 'none',
};
const ASYNC: Behaviour = { ...APPROVED, answer: 'pending', decided: 'after_async', webhooks: 'once' };
const REFUNDED: Behaviour = { ...APPROVED, reason: 'refunded' };

const declined = (reason: string): Behaviour => ({ ...APPROVED, outcome: 'declined', reason });

function token(name: string, description: string, charge: Behaviour, refund: Behaviour = REFUNDED): Token {
  return { name, description, charge, refund };
}

const ALL: readonly Token[] = [
  token('tok_visa', 'approved', APPROVED),
  token('tok_mastercard', 'approved', APPROVED),
  token('tok_declined', 'declined: card_declined', declined('card_declined')),
  token('tok_insufficient_funds', 'declined: insufficient_funds', declined('insufficient_funds')),
  token('tok_stolen', 'declined: stolen_card', declined('stolen_card')),
  token('tok_slow', 'approved after 3 s', { ...APPROVED, decided: 'after_slow' }),
  token('tok_async', 'pending; approved by webhook after 1 s', ASYNC),
  token('tok_timeout_charged', 'money is taken, the call is never answered', { ...APPROVED, answer: 'never' }),
  token('tok_timeout_not_charged', 'nothing is taken, the call is never answered', {
    ...APPROVED,
    outcome: 'not_taken',
    answer: 'never',
  }),
  token('tok_error_then_ok', '500 twice per idempotency key, then approved', { ...APPROVED, errorsFirst: 2 }),
  token('tok_webhook_twice', 'pending; the webhook that approves it comes twice', { ...ASYNC, webhooks: 'twice' }),
  token('tok_webhook_late', 'pending; charge.succeeded comes before charge.pending', {
    ...ASYNC,
    webhooks: 'out_of_order',
  }),
  token(
    'tok_refund_fails',
    'approved; its refunds are declined: refund_declined',
    APPROVED,
    declined('refund_declined'),
  ),
  token('tok_refund_async', 'approved; its refunds are pending, then made by webhook', APPROVED, {
    ...ASYNC,
    reason: 'refunded',
  }),
  token('tok_refund_timeout', 'approved; its refunds are made, their calls never answered', APPROVED, {
    ...REFUNDED,
    answer: 'never',
  }),
];

/** Every card token by its name. */
export const TOKENS: ReadonlyMap<string, Token> = new Map(ALL.map((each) => [each.name, each]));

/** The token with this name. @throws Error when there is none: a record of another version of the simulator */
export function mustFindToken(name: string): Token {
  const found = TOKENS.get(name);
  if (found === undefined) throw new Error(`the record holds the token ${name}, which this simulator does not know`);
  return found;
}

/** What is recorded when a call begins: its outcome, or `pending` when that is decided later. */
export function firstStatus(behaviour: Behaviour): {
  status: 'pending' | 'succeeded' | 'declined';
  reason: string | null;
} {
  if (behaviour.decided !== 'at_once') return { status: 'pending', reason: null };
  return finalStatus(behaviour);
}

/** The outcome of a call that is carried out. */
export function finalStatus({ outcome, reason }: Behaviour): { status: 'succeeded' | 'declined'; reason: string } {
  return { status: outcome === 'succeeded' ? 'succeeded' : 'declined', reason };
}
