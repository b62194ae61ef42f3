import { TOKENS } from '../../simulator/tokens.ts';
import { createRandom, type Random } from '../support/random.ts';
import { seedOf } from './faults.ts';
import { BLOCKED_CUSTOMER } from './process.ts';
import { describeShopOperation, openShop, planShop, type ShopOperation } from './shop.ts';
import { CURRENCY, OPENING, TOKEN_NAMES } from './terms.ts';

/** Something that a client or an operator asks for. `at`: milliseconds since the start. */
export type Operation =
  | { readonly kind: 'open'; readonly at: number; readonly userId: string; readonly currency: string }
  | {
      readonly kind: 'move';
      readonly at: number;
      readonly type: 'Credit' | 'Debit';
      readonly userId: string;
      readonly amountMinor: number;
      readonly reference: string;
    }
  | PayOperation
  | {
      readonly kind: 'refund';
      readonly at: number;
      readonly of: PayOperation;
      readonly amountMinor?: number;
      readonly number: number;
    }
  | {
      readonly kind: 'operate';
      readonly at: number;
      readonly of: PayOperation;
      readonly type: 'RetryStep' | 'Compensate';
    }
  | ShopOperation;

export interface PayOperation {
  readonly kind: 'pay';
  readonly at: number;
  readonly number: number;
  readonly customerId: string;
  readonly method: 'wallet' | 'credit_card';
  readonly token: string | undefined;
  readonly amountMinor: number;
}

export const OVERDRAFT_MINOR = 5_000;

/** A wallet of these customers never runs short. */
const RICH = ['rich-1', 'rich-2', 'rich-3', 'rich-4', 'rich-5', 'rich-6'] as const;
const RICH_MINOR = 10_000_000_000;
/** These have little: some of their payments are declined, by the order in which they come. */
const POOR = ['poor-1', 'poor-2', 'poor-3'] as const;
const POOR_MINOR = 20_000;
const WITHOUT_WALLET = 'without-wallet';
const IN_EUROS = 'in-euros';

const MOST_MINOR = 9_000;
const MOST_PER_SECOND = 2_500;

/** What is asked for in one simulation, in order of time: the same for the same seed, whatever goes wrong. */
export function planWorkload(seed: number, payments: number): readonly Operation[] {
  const random = createRandom(seedOf(seed, 'workload'));
  const perSecond = Math.min(MOST_PER_SECOND, payments / random.pick([1, 8, 30]));
  const burst = random.pick([1, 10, 100]);
  const shares = {
    card: random.pick([0, 0.2, 0.6]),
    hot: random.pick([0, 0.3, 0.9]),
    refund: random.pick([0, 0.1, 0.5]),
  };
  const plan: Operation[] = opening();
  for (let number = 0; number < payments; number++) {
    const at = (Math.floor(number / burst) * burst * 1000) / perSecond;
    const pay = planPayment(random, number, at, shares);
    plan.push(pay);
    if (random.chance(shares.refund)) plan.push(...planRefunds(random, pay));
    if (random.chance(0.02)) plan.push(planOperator(random, pay));
    if (random.chance(0.05)) plan.push(planMovement(random, number, pay.at));
  }
  const lastAt = plan.at(-1)?.at ?? 0;
  plan.push(...planShop(seed, payments, lastAt, chooseCustomer));
  return plan.sort((a, b) => a.at - b.at);
}

/** Wallets are opened, and then filled as stock is, before anything else is asked for. */
export function isOpening({ at }: Operation): boolean {
  return at === OPENING;
}

function opening(): Operation[] {
  const open = [...RICH, ...POOR, IN_EUROS].map(
    (userId): Operation => ({ kind: 'open', at: OPENING, userId, currency: userId === IN_EUROS ? 'EUR' : CURRENCY }),
  );
  const deposit = [...RICH, ...POOR].map((userId): Operation => {
    const amountMinor = userId.startsWith('rich') ? RICH_MINOR : POOR_MINOR;
    return { kind: 'move', at: OPENING, type: 'Credit', userId, amountMinor, reference: 'opening' };
  });
  return [...open, ...deposit, ...openShop()];
}

function planPayment(
  random: Random,
  number: number,
  at: number,
  shares: { readonly card: number; readonly hot: number },
): PayOperation {
  const method = random.chance(shares.card) ? 'credit_card' : 'wallet';
  const token = method === 'wallet' ? undefined : random.pick(TOKEN_NAMES);
  const customerId = random.chance(shares.hot) ? RICH[0] : chooseCustomer(random);
  return { kind: 'pay', at, number, customerId, method, token, amountMinor: random.between(1, MOST_MINOR) };
}

function chooseCustomer(random: Random): string {
  const choice = random.below(100);
  if (choice < 70) return random.pick(RICH);
  if (choice < 90) return random.pick(POOR);
  return random.pick([WITHOUT_WALLET, IN_EUROS, BLOCKED_CUSTOMER]);
}

/** Some at once, some more than is left. */
function planRefunds(random: Random, of: PayOperation): readonly Operation[] {
  const at = of.at + random.between(10, 5_000);
  return Array.from({ length: random.between(1, 4) }, (_, number): Operation => {
    const amount = random.chance(0.3) ? {} : { amountMinor: random.between(1, of.amountMinor) };
    return { kind: 'refund', at: at + random.below(2) * random.below(3_000), of, number, ...amount };
  });
}

function planOperator(random: Random, of: PayOperation): Operation {
  return { kind: 'operate', at: of.at + random.between(1, 10_000), of, type: random.pick(['RetryStep', 'Compensate']) };
}

/** Deposits and withdrawals; some come under a reference that was used before. */
function planMovement(random: Random, number: number, at: number): Operation {
  const userId = random.pick([...RICH, ...POOR]);
  const type = random.pick(['Credit', 'Debit'] as const);
  return {
    kind: 'move',
    at,
    type,
    userId,
    amountMinor: random.between(1, 1_000),
    reference: `movement-${number >> 1}`,
  };
}

/**
 * How a payment may end, as far as that is known beforehand, if nothing goes wrong.
 *
 * @param maxCalls how often the platform calls the gateway for one charge
 */
export function expectedStatuses(pay: PayOperation, maxCalls: number): readonly string[] {
  if (pay.customerId === BLOCKED_CUSTOMER) return ['DECLINED'];
  if (pay.method === 'wallet') return expectedOfWallet(pay.customerId);
  const token = TOKENS.get(pay.token ?? 'tok_visa');
  if (token === undefined || token.charge.outcome === 'not_taken') return ['FAILED'];
  // A process that dies during a call has not counted it: then there is one call more than the limit.
  if (token.charge.errorsFirst >= maxCalls) return ['FAILED', 'APPROVED'];
  return [token.charge.outcome === 'succeeded' ? 'APPROVED' : 'DECLINED'];
}

function expectedOfWallet(customerId: string): readonly string[] {
  if (customerId.startsWith('rich')) return ['APPROVED'];
  return customerId.startsWith('poor') ? ['APPROVED', 'DECLINED'] : ['DECLINED'];
}

/** One line for the history. */
export function describeOperation(operation: Operation): string {
  switch (operation.kind) {
    case 'open':
      return `open ${operation.userId}`;
    case 'move':
      return `${operation.type} ${operation.userId} ${operation.amountMinor} ${operation.reference}`;
    case 'pay':
      return `pay ${operation.number} ${operation.customerId} ${operation.amountMinor} ${operation.token ?? operation.method}`;
    case 'refund':
      return `refund ${operation.of.number}.${operation.number} ${operation.amountMinor ?? 'all'}`;
    case 'operate':
      return `${operation.type} ${operation.of.number}`;
    default:
      return describeShopOperation(operation);
  }
}
