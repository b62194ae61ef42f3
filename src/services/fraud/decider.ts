import type { Decider } from '#kernel/core/decider.ts';
import type { EventOf } from '#kernel/core/event.ts';
import { accept } from '#kernel/core/result.ts';
import { fromTimestamp, toTimestamp } from '#kernel/core/timestamp.ts';
import type { PaymentMethod } from '#services/payments/contract.ts';
import { FRAUD, type paymentChecked } from './contract.ts';

/** The longest window over which payments are counted, seconds. */
export const MAX_WINDOW_SECONDS = 3_600;
export const MAX_SCORE = 100;

/** Windows up to this are counted by seconds, longer ones by minutes: less than 130 numbers per customer. */
const FINE_WINDOW_SECONDS = 60;
const MAX_MINUTES = MAX_WINDOW_SECONDS / 60;
/** So many payments are remembered, so that one that is delivered again soon is not counted twice. */
const RECENT_PAYMENTS = 32;

/**
 * Payments per unit of time: the present unit, and those before it as unit, count, unit, count… oldest first. Only the
 * present count changes with each payment; the list is copied once per unit.
 */
interface Counter {
  readonly unit: number;
  readonly count: number;
  readonly before: readonly number[];
}

/** What fraud remembers of a customer. */
export interface FraudState {
  readonly seconds: Counter;
  readonly minutes: Counter;
  /** Ids of the payments checked last. */
  readonly recent: readonly string[];
}

export interface CheckPayment {
  readonly type: 'CheckPayment';
  readonly paymentId: string;
  readonly customerId: string;
  readonly amountMinor: number;
  readonly currency: string;
  readonly method: PaymentMethod;
  readonly traceId: string;
}

/** What is known of a payment when it is judged. */
export interface PaymentFacts {
  readonly amountMinor: number;
  readonly currency: string;
  readonly method: string;
  readonly customerId: string;
  /** How many payments the customer made in the last so many seconds, this one included. */
  countIn(seconds: number): number;
}

/** What the rules say of a payment. */
export interface Verdict {
  readonly declined: boolean;
  /** The scores of the rules that fired, at most 100. */
  readonly score: number;
  /** The names of the rules that fired, in the order of the file. */
  readonly fired: readonly string[];
}

type FraudEvent = EventOf<typeof paymentChecked>;

const EMPTY: Counter = { unit: 0, count: 0, before: [] };

/**
 * One stream per customer, so that the counts are right however many instances check payments at once.
 * @param judge applies the rules in force at the time of a decision
 */
export function createFraudDecider(
  judge: (payment: PaymentFacts) => Verdict,
): Decider<FraudState, CheckPayment, FraudEvent> {
  return {
    aggregate: FRAUD,
    stateVersion: 1,
    initial: { seconds: EMPTY, minutes: EMPTY, recent: [] },
    evolve,
    decide: (command, state, { now }) =>
      accept(state.recent.includes(command.paymentId) ? [] : [check(command, state, now, judge)]),
  };
}

function check(
  command: CheckPayment,
  state: FraudState,
  now: number,
  judge: (payment: PaymentFacts) => Verdict,
): FraudEvent {
  const countIn = (seconds: number) => 1 + countSince(state, now, seconds);
  const { declined, score, fired } = judge({ ...command, countIn });
  return {
    type: 'payments.checked',
    data: {
      id: command.paymentId,
      trace_id: command.traceId,
      status: declined ? 'DECLINED' : 'APPROVED',
      reason: declined ? 'fraud_detected' : 'approved',
      score,
      rules: [...fired],
      checked_at: toTimestamp(now),
      method: command.method,
      customer_id: command.customerId,
    },
  };
}

/**
 * How many payments of the customer were checked within the last `seconds`. Units that lie in the window only in part
 * count in full, so a count may be too large by what came in one second (or one minute, for windows above a minute).
 */
export function countSince(state: FraudState, now: number, seconds: number): number {
  if (seconds <= FINE_WINDOW_SECONDS) return countFrom(state.seconds, secondOf(now) - seconds);
  return countFrom(state.minutes, minuteOf(now - seconds * 1000));
}

function countFrom({ unit, count, before }: Counter, first: number): number {
  let sum = unit >= first ? count : 0;
  for (let i = before.length - 2; i >= 0 && before[i]! >= first; i -= 2) sum += before[i + 1]!;
  return sum;
}

function secondOf(time: number): number {
  return Math.floor(time / 1000);
}

function minuteOf(time: number): number {
  return Math.floor(time / 60_000);
}

function evolve(state: FraudState, event: FraudEvent): FraudState {
  if (event.type !== 'payments.checked') return state;
  const at = fromTimestamp(event.data.checked_at);
  return {
    seconds: counted(state.seconds, secondOf(at), FINE_WINDOW_SECONDS),
    minutes: counted(state.minutes, minuteOf(at), MAX_MINUTES),
    recent: remembered(state.recent, event.data.id),
  };
}

/** A clock that is behind that of another instance counts into the present unit. */
function counted(counter: Counter, unit: number, keep: number): Counter {
  if (unit <= counter.unit) return { unit: counter.unit, count: counter.count + 1, before: counter.before };
  const all = counter.count === 0 ? [] : [...counter.before, counter.unit, counter.count];
  let first = 0;
  while (first < all.length && all[first]! < unit - keep) first += 2;
  return { unit, count: 1, before: first === 0 ? all : all.slice(first) };
}

function remembered(recent: readonly string[], id: string): readonly string[] {
  const ids = recent.slice(recent.length < RECENT_PAYMENTS ? 0 : 1);
  ids.push(id);
  return ids;
}
