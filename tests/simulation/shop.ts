import { productIdOf } from '#services/catalog/contract.ts';
import { createRandom, type Random } from '../support/random.ts';
import { seedOf } from './faults.ts';
import { OPENING, TOKEN_NAMES } from './terms.ts';

/** What is sold, by SKU. Prices in minor units. */
interface Product {
  readonly sku: string;
  readonly productId: string;
  readonly priceMinor: number;
  /** Units that there are at first. */
  readonly units: number;
}

function product(sku: string, priceMinor: number, units: number): Product {
  return { sku, productId: productIdOf(sku), priceMinor, units };
}

/** Of some there are always enough, of others not for all. */
export const PRODUCTS: readonly Product[] = [
  product('plenty-1', 300, 1_000_000),
  product('plenty-2', 1_500, 1_000_000),
  product('scarce-1', 700, 12),
  product('scarce-2', 2_500, 1),
];

/** A refund that the gateway never makes is a matter for operators: such a purchase would not come to rest. */
const REFUNDABLE = TOKEN_NAMES.filter((name) => name !== 'tok_refund_fails');

/** What is asked of the shop. `at`: milliseconds since the start. */
export type ShopOperation =
  | {
      readonly kind: 'stock';
      readonly at: number;
      readonly number: number;
      readonly productId: string;
      readonly change: number;
    }
  | BuyOperation
  | {
      readonly kind: 'cancel';
      readonly at: number;
      readonly of: BuyOperation;
      readonly number: number;
      /** What comes back; all when absent. */
      readonly units?: readonly Units[];
    };

export interface Units {
  readonly productId: string;
  readonly quantity: number;
}

export interface BuyOperation {
  readonly kind: 'buy';
  readonly at: number;
  readonly number: number;
  readonly customerId: string;
  readonly method: 'wallet' | 'credit_card';
  readonly token: string | undefined;
  /** Each of another product. */
  readonly lines: readonly Units[];
}

/** The products come in before anything else is asked for. */
export function openShop(): readonly ShopOperation[] {
  return PRODUCTS.map(({ productId, units }, number) => ({
    kind: 'stock',
    at: OPENING,
    number,
    productId,
    change: units,
  }));
}

/**
 * Purchases beside so many payments: in some simulations none, in others many.
 * @param lastAt when the last payment is made
 */
export function planShop(
  seed: number,
  payments: number,
  lastAt: number,
  chooseCustomer: (random: Random) => string,
): readonly ShopOperation[] {
  const random = createRandom(seedOf(seed, 'shop'));
  const purchases = Math.floor(payments * random.pick([0, 0.1, 0.3]));
  const shares = { card: random.pick([0, 0.3]), scarce: random.pick([0.1, 0.8]), cancel: random.pick([0, 0.3]) };
  const plan: ShopOperation[] = [];
  for (let number = 0; number < purchases; number++) {
    const buy = planPurchase(random, number, Math.floor(random.below(lastAt + 1)), shares, chooseCustomer);
    plan.push(buy);
    if (random.chance(shares.cancel)) plan.push(...planCancellations(random, buy));
    if (random.chance(0.05)) plan.push(planDelivery(random, PRODUCTS.length + number, buy.at));
  }
  return plan;
}

function planPurchase(
  random: Random,
  number: number,
  at: number,
  shares: { readonly card: number; readonly scarce: number },
  chooseCustomer: (random: Random) => string,
): BuyOperation {
  const method = random.chance(shares.card) ? 'credit_card' : 'wallet';
  const chosen = PRODUCTS.filter(({ sku }) => random.chance(sku.startsWith('scarce') ? shares.scarce : 0.4));
  const bought = chosen.length > 0 ? chosen : [random.pick(PRODUCTS)];
  return {
    kind: 'buy',
    at,
    number,
    customerId: chooseCustomer(random),
    method,
    token: method === 'wallet' ? undefined : random.pick(REFUNDABLE),
    lines: bought.map(({ productId, units }) => ({ productId, quantity: random.between(1, Math.min(3, units)) })),
  };
}

/** All of it or a part, some twice; at every moment of its life. */
function planCancellations(random: Random, of: BuyOperation): readonly ShopOperation[] {
  const at = of.at + random.below(2) * random.below(4_000);
  return Array.from({ length: random.between(1, 2) }, (_, number): ShopOperation => {
    const { productId, quantity } = random.pick(of.lines);
    const units = random.chance(0.5) ? {} : { units: [{ productId, quantity: random.between(1, quantity) }] };
    return { kind: 'cancel', at: at + random.below(2) * random.below(3_000), of, number, ...units };
  });
}

function planDelivery(random: Random, number: number, at: number): ShopOperation {
  return { kind: 'stock', at, number, productId: random.pick(PRODUCTS).productId, change: random.pick([-2, 1, 5]) };
}

/** Whether nothing but the customer's wishes can keep a purchase from being completed. */
export function isSure({ customerId, method, lines }: BuyOperation): boolean {
  const plenty = lines.every(({ productId }) => PRODUCTS.find((each) => each.productId === productId)!.units > 1000);
  return customerId.startsWith('rich') && method === 'wallet' && plenty;
}

/** One line for the history. */
export function describeShopOperation(operation: ShopOperation): string {
  switch (operation.kind) {
    case 'stock':
      return `stock ${operation.number} ${skuOf(operation.productId)} ${operation.change}`;
    case 'buy': {
      const { number, customerId, token, method, lines } = operation;
      return `buy ${number} ${customerId} ${unitsText(lines)} ${token ?? method}`;
    }
    case 'cancel':
      return `cancel ${operation.of.number}.${operation.number} ${operation.units ? unitsText(operation.units) : 'all'}`;
  }
}

function unitsText(units: readonly Units[]): string {
  return units.map(({ productId, quantity }) => `${quantity}x${skuOf(productId)}`).join('+');
}

function skuOf(productId: string): string {
  return PRODUCTS.find((each) => each.productId === productId)!.sku;
}
