import type { PaymentPlan, PurchasePlan } from './protocol.ts';

/** One request, ready to be sent. */
export interface PreparedRequest {
  readonly bytes: Buffer;
  readonly amountMinor: number;
  /** True: it asks to be answered with the final status. */
  readonly waiting: boolean;
}

/** Hands out requests in a fixed, mixed order. */
export interface RequestSource {
  next(): PreparedRequest;
}

/** So many different requests are made beforehand; making one anew each time would be most of the load's work. */
const PREPARED = 4096;
const WAIT_SECONDS = 30;

/** @param waiting true: each asks to be answered with the final status */
export function prepareRequests(plan: PaymentPlan | PurchasePlan, port: number, waiting: boolean): RequestSource {
  const prepared = 'products' in plan ? preparePurchases(plan, port, waiting) : preparePayments(plan, port, waiting);
  let at = 0;
  return {
    next: () => {
      at = at + 1 === PREPARED ? 0 : at + 1;
      return prepared[at]!;
    },
  };
}

function preparePayments(plan: PaymentPlan, port: number, waiting: boolean): readonly PreparedRequest[] {
  const [hot, ...others] = plan.customers;
  const rest = others.length === 0 ? plan.customers : others;
  return Array.from({ length: PREPARED }, (_, i) => {
    // A low-discrepancy sequence spreads the share evenly: multiples of the golden ratio, modulo 1 (H. Weyl).
    const isHot = plan.hot > 0 && (i * 0.618_033_988_749_895) % 1 < plan.hot;
    const customer =
      plan.hot === 0 ? plan.customers[i % plan.customers.length]! : isHot ? hot! : rest[i % rest.length]!;
    const amountMinor = 100 + ((i * 7919) % 9900);
    const { method, currency } = plan;
    const token = method === 'wallet' ? {} : { payment_token: 'tok_visa' };
    const body = { amount: amountMinor / 100, currency, method, customer_id: customer, ...token };
    return prepare('/payments', body, amountMinor, port, waiting);
  });
}

/** Both products of a purchase differ, and over all of them each product and each customer comes as often as the others. */
function preparePurchases(
  { customers, products }: PurchasePlan,
  port: number,
  waiting: boolean,
): readonly PreparedRequest[] {
  return Array.from({ length: PREPARED }, (_, i) => {
    const first = (2 * i) % products.length;
    const bought = [products[first]!, products[(first + 1 + (i % (products.length - 1))) % products.length]!];
    const lines = bought.map(({ sku }, n) => ({ product_id: sku, quantity: n + 1 }));
    const amountMinor = bought.reduce((sum, { priceMinor }, n) => sum + priceMinor * (n + 1), 0);
    const body = { customer_id: customers[i % customers.length], method: 'wallet', lines };
    return prepare('/purchases', body, amountMinor, port, waiting);
  });
}

function prepare(path: string, content: object, amountMinor: number, port: number, waiting: boolean): PreparedRequest {
  const body = JSON.stringify(content);
  const lines = [
    `POST /api/v1${path} HTTP/1.1`,
    `Host: 127.0.0.1:${port}`,
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...(waiting ? [`Prefer: wait=${WAIT_SECONDS}`] : []),
  ];
  return { bytes: Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`), amountMinor, waiting };
}
