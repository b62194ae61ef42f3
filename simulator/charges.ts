import type { Reply } from './http.ts';
import { problem } from './http.ts';
import { type ChargeInput, parseCharge } from './input.ts';
import type { Charge, GatewayRecord } from './record.ts';
import { keyReused, notFound, recordFull } from './refusals.ts';
import type { Settings } from './settings.ts';
import { behaviourOf, type Settlement } from './settlement.ts';
import { firstStatus } from './tokens.ts';
import { chargeView } from './views.ts';

/** The answer to a call, or `never` when the call is to stay unanswered. */
export type Outcome = Reply | 'never';

/** What charges and refunds work with. */
export interface DeskParts {
  readonly settings: Settings;
  readonly record: GatewayRecord;
  readonly settlement: Settlement;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export interface Charges {
  /** `POST /v1/charges`: takes money as the token says; the same key again gives the same charge. */
  take(key: string, body: unknown): Promise<Outcome>;
  byId(id: string): Reply;
  byKey(key: string): Reply;
  /** Forgets which keys had their 500s. */
  clear(): void;
}

export function createCharges({ settings, record, settlement, now }: DeskParts): Charges {
  const errorsByKey = new Map<string, number>();

  async function take(key: string, body: unknown): Promise<Outcome> {
    const parsed = parseCharge(body);
    if (!parsed.ok) return parsed.refusal;
    const existing = record.charges.byKey(key);
    if (existing !== undefined) return isSame(existing, parsed.value) ? answer(existing, 200) : keyReused();
    const { name, charge: behaviour } = parsed.value.token;
    if (behaviour.errorsFirst > 0 && countError(key) <= behaviour.errorsFirst) {
      return problem(500, 'gateway_error', `${name} fails on purpose; nothing was taken`);
    }
    if (behaviour.outcome === 'not_taken') return 'never';
    if (record.charges.full()) return recordFull('charges', settings.maxCharges);
    const charge = begin(key, parsed.value);
    return behaviour.answer === 'never' ? 'never' : answer(charge, 201);
  }

  function begin(key: string, { token, amountMinor, currency, reference }: ChargeInput): Charge {
    const values = { idempotencyKey: key, reference, amountMinor, currency, token: token.name, createdAt: now() };
    const charge = record.addCharge({ ...values, ...firstStatus(token.charge) });
    settlement.begin(charge);
    return charge;
  }

  async function answer(charge: Charge, status: 200 | 201): Promise<Reply> {
    if (behaviourOf(charge).answer === 'outcome') await settlement.settled(charge);
    return { status, body: chargeView(charge), headers: status === 200 ? { 'idempotent-replayed': 'true' } : {} };
  }

  /** Counts this call among those that fail first; the key that failed longest ago is forgotten when there are too many. */
  function countError(key: string): number {
    const count = (errorsByKey.get(key) ?? 0) + 1;
    errorsByKey.delete(key);
    errorsByKey.set(key, count);
    const [oldest] = errorsByKey.keys();
    if (errorsByKey.size > settings.maxErrorKeys && oldest !== undefined) errorsByKey.delete(oldest);
    return count;
  }

  return {
    take,
    byId: (id) => found(record.charges.byId(id)),
    byKey: (key) => found(record.charges.byKey(key)),
    clear: () => errorsByKey.clear(),
  };
}

function isSame(charge: Charge, input: ChargeInput): boolean {
  return (
    charge.amountMinor === input.amountMinor &&
    charge.currency === input.currency &&
    charge.reference === input.reference &&
    charge.token === input.token.name
  );
}

function found(charge: Charge | undefined): Reply {
  return charge === undefined ? notFound('charge') : { status: 200, body: chargeView(charge) };
}
