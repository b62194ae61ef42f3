import { productIdOf } from '#services/catalog/contract.ts';
import { PAYMENT_STATUSES } from '#services/payments/contract.ts';
import type { PaymentMix, ReadKind, ReadOptions, ShopMix } from './protocol.ts';

/** One look-up, ready to be sent, and what its answer must be about. */
export interface PreparedRead {
  readonly bytes: Buffer;
  readonly kind: ReadKind;
  /** The user of the wallet, the payment's id, the SKU, or the product's id. */
  readonly about: string;
}

/** Hands out look-ups in a fixed, mixed order. */
export interface ReadSource {
  next(): PreparedRead;
  /** This payment was just accepted. */
  written(id: string): void;
}

/** The payments accepted last that are looked up as new ones. */
const NEW_PAYMENTS = 64;
/** Multiples of the golden ratio, modulo 1, spread a share evenly (H. Weyl). */
const SPREAD = 0.618_033_988_749_895;
const STATUSES: ReadonlySet<unknown> = new Set(PAYMENT_STATUSES);

/** Of so many look-ups each kind and each product comes as often as it should; then they begin again. */
const SHOP_ROUND = 65_536;
/** The shares of the shop's look-ups, added up. */
const PRODUCT_SHARE = 0.8;
const STOCK_SHARE = 0.95;

export function createReadSource({ port, mix }: ReadOptions): ReadSource {
  const prepare = (kind: ReadKind, path: string, about: string): PreparedRead => ({
    bytes: Buffer.from(`GET /api/v1${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`),
    kind,
    about,
  });
  return 'products' in mix ? shopSource(mix, prepare) : paymentSource(mix, prepare);
}

type Prepare = (kind: ReadKind, path: string, about: string) => PreparedRead;

function shopSource({ products, customers }: ShopMix, prepare: Prepare): ReadSource {
  const ofProducts = products.map((sku) => prepare('product', `/products/${sku}`, sku));
  const ofStock = products.map((sku) => prepare('stock', `/inventory/${sku}`, productIdOf(sku)));
  const ofWallets = customers.map((user) => prepare('balance', `/wallets/${user}/balance`, user));
  const popular = { products: zipf(products.length), customers: zipf(customers.length) };
  const round = Array.from({ length: SHOP_ROUND }, (_, i) => {
    const kind = (i * SPREAD) % 1;
    // Another sequence, independent of the first: multiples of the square root of two.
    const choice = (i * Math.SQRT2) % 1;
    if (kind < PRODUCT_SHARE) return ofProducts[popular.products(choice)]!;
    return kind < STOCK_SHARE ? ofStock[popular.products(choice)]! : ofWallets[popular.customers(choice)]!;
  });
  let at = 0;
  return {
    next: () => {
      at = at + 1 === SHOP_ROUND ? 0 : at + 1;
      return round[at]!;
    },
    written: () => undefined,
  };
}

/** The index of one of so many, by a number from 0 to 1: the n-th in proportion to 1/n. */
function zipf(count: number): (choice: number) => number {
  const sums: number[] = [];
  let total = 0;
  for (let n = 1; n <= count; n++) {
    total += 1 / n;
    sums.push(total);
  }
  return (choice) => sums.findIndex((sum) => sum >= choice * total);
}

/** As long as no payment is accepted, the old ones are looked up in place of new ones, and counted as such. */
function paymentSource({ balances, customers, payments }: PaymentMix, prepare: Prepare): ReadSource {
  const ofWallets = customers.map((user) => prepare('balance', `/wallets/${user}/balance`, user));
  const ofPayments = payments.map((id) => prepare('payment', `/payments/${id}`, id));
  const fresh: PreparedRead[] = [];
  let at = 0;
  let asked = 0;
  let written = 0;

  const nextPayment = (): PreparedRead => {
    asked += 1;
    const from = asked % 2 === 0 && fresh.length > 0 ? fresh : ofPayments;
    return from[(asked >> 1) % from.length]!;
  };
  return {
    next: () => {
      at += 1;
      return (at * SPREAD) % 1 < balances ? ofWallets[at % ofWallets.length]! : nextPayment();
    },
    written: (id) => {
      fresh[written % NEW_PAYMENTS] = prepare('new_payment', `/payments/${id}`, id);
      written += 1;
    },
  };
}

/** Whether the answer has the shape that is documented, and is about what was asked for. */
export function isRight({ kind, about }: PreparedRead, body: Buffer): boolean {
  const answer = JSON.parse(body.toString());
  if (kind === 'product') return answer.sku === about && answer.price_minor > 0;
  if (kind === 'stock') return answer.product_id === about && answer.available === answer.on_hand - answer.reserved;
  if (kind === 'balance') return answer.user_id === about && Number.isSafeInteger(answer.balance_minor);
  const isOfPayment = answer.id === about && answer.amount_minor > 0;
  return isOfPayment && (kind === 'payment' ? answer.status === 'APPROVED' : STATUSES.has(answer.status));
}
