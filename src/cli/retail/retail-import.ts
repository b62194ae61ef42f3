import { setTimeout as sleep } from 'node:timers/promises';
import { formatAmount, type MinorUnits, toMajor } from '#kernel/core/money.ts';
import { MAX_LINES } from '#services/purchases/contract.ts';
import { ApiError, type Client, type HttpAnswer, problemOf, type RequestOptions } from '../client.ts';
import { CliError } from '../failure.ts';
import { createLanes } from '../lanes.ts';
import { persist } from '../persist.ts';
import { CURRENCY, type Invoice, type RefusedLine, type RetailLine, readInvoices } from './retail-file.ts';
import { createSales, type PriceChange, type Sale, type Sales } from './sales.ts';

/** What an import did. */
export interface RetailOutcome {
  readonly invoices: number;
  /** Invoices that are completed purchases now, and those that an earlier run had made. */
  readonly completed: number;
  readonly made_before: number;
  /** Cancellations of which something came back. */
  readonly cancellations: number;
  readonly lines_sold: number;
  readonly lines_returned: number;
  readonly products: number;
  readonly customers: number;
  /** Of all that was sold, and of what was given back. */
  readonly sold: string;
  readonly returned: string;
  /** In file order. */
  readonly refused: readonly RefusedLine[];
  readonly price_changes: readonly PriceChange[];
  /** What is not as the file says, as a line for each: purchases, stock, wallets. */
  readonly inexact: readonly string[];
}

/** Requests on their way at once. */
export const CONCURRENCY = 32;
const WAIT = { prefer: 'wait=30' };
const LOOK_EVERY_MS = 200;
const LOOKS = 600;

/** A purchase as the API shows it. */
interface Purchase {
  readonly id: string;
  readonly status: string;
  readonly reason: string | null;
  readonly amount_minor: number;
  readonly refunded_minor: number;
  readonly completed_at: string | null;
}

/**
 * Sells the invoices of the file through the API, in their order: puts the products into the catalog and as many units into stock as
 * are sold, money into the customers' wallets, and buys. Cancellations give back what the customer has bought further up in
 * the file. Everything carries a reference made of its invoice, so that what an earlier run did is not done again.
 * @throws CliError what kept it from going on; running it again goes on there
 */
export async function importRetailFile(
  client: Client,
  path: string,
  onProgress: (invoices: number) => void,
): Promise<RetailOutcome> {
  const sales = createSales();
  const refused: RefusedLine[] = [];
  const priceChanges: PriceChange[] = [];
  const opened = new Set<string>();
  const counts = { invoices: 0, completed: 0, madeBefore: 0, cancellations: 0, linesSold: 0, linesReturned: 0 };

  for await (const invoice of readInvoices(path)) {
    refused.push(...invoice.refused);
    counts.invoices += 1;
    if (invoice.isCancellation) {
      const { returned, unknown } = await takeBack(client, invoice, sales);
      counts.cancellations += returned > 0 ? 1 : 0;
      counts.linesReturned += returned;
      refused.push(...unknown);
    } else if (invoice.lines.length > 0) {
      priceChanges.push(...sales.priceChanges(invoice));
      const { purchase, isNew } = await sell(client, invoice, sales, opened);
      counts.madeBefore += isNew ? 0 : 1;
      if (purchase.completed_at !== null && purchase.status === 'CANCELLED' && purchase.reason !== 'cancelled')
        refused.push(...invoice.lines.map((line) => notSold(line, purchase)));
      else {
        sales.add(invoice, purchase.id);
        counts.completed += 1;
        counts.linesSold += invoice.lines.length;
      }
    }
    onProgress(counts.invoices);
  }
  const inexact = await compare(client, sales);
  return {
    invoices: counts.invoices,
    completed: counts.completed,
    made_before: counts.madeBefore,
    cancellations: counts.cancellations,
    lines_sold: counts.linesSold,
    lines_returned: counts.linesReturned,
    products: sales.products.size,
    customers: opened.size,
    sold: money(sumOf([...sales.all].map(({ soldMinor }) => soldMinor))),
    returned: money(sumOf([...sales.all].map(({ returnedMinor }) => returnedMinor))),
    refused: refused.sort((a, b) => a.line - b.line),
    price_changes: priceChanges,
    inexact,
  };
}

function notSold({ line, invoice, sku }: RetailLine, { id, reason }: Purchase): RefusedLine {
  return { line, invoice, stock_code: sku, reason: 'not_sold', detail: `purchase ${id} was cancelled: ${reason}` };
}

const userOf = (customer: string): string => `customer-${customer}`;

/** The purchase of an invoice: the one of an earlier run, or a new one. */
async function sell(
  client: Client,
  invoice: Invoice,
  sales: Sales,
  opened: Set<string>,
): Promise<{ readonly purchase: Purchase; readonly isNew: boolean }> {
  const user = userOf(invoice.lines[0]!.customer);
  const isFirst = !opened.has(user);
  opened.add(user);
  const before = await find(client, user, invoice.number);
  if (before !== undefined) return { purchase: await whenEnded(client, before), isNew: false };
  const units = sales.unitsOf(invoice);
  if (units.length > MAX_LINES) throw new CliError(`invoice ${invoice.number} has more than ${MAX_LINES} products`);
  if (isFirst) await openWallet(client, user);
  await deposit(client, user, invoice);
  const lanes = createLanes(CONCURRENCY);
  for (const line of units) await lanes.put(line.sku, () => stockUp(client, line, invoice.number, sales));
  await lanes.finish();
  const body = {
    customer_id: user,
    method: 'wallet',
    reference: invoice.number,
    lines: units.map(({ sku, quantity, priceMinor }) => ({
      product_id: sku,
      quantity,
      unit_price: formatAmount(priceMinor, CURRENCY),
    })),
  };
  const answer = await untilPriced(client, { body, headers: WAIT });
  if (answer.status >= 300) throw new ApiError(answer, `invoice ${invoice.number}`);
  return { purchase: await whenEnded(client, answer.body as Purchase), isNew: true };
}

async function find(client: Client, user: string, reference: string): Promise<Purchase | undefined> {
  const query = { customer_id: user, reference, limit: 1 };
  const answer = await persist(client, 'GET', '/purchases', { query });
  if (answer.status >= 300) throw new ApiError(answer, `purchases of ${user}`);
  return (answer.body as { readonly data: readonly Purchase[] }).data[0];
}

/** A price that was just changed takes a moment to be known everywhere. */
async function untilPriced(client: Client, request: RequestOptions): Promise<HttpAnswer> {
  for (let look = 1; ; look++) {
    const answer = await persist(client, 'POST', '/purchases', request);
    const code = problemOf(answer).code ?? '';
    if (!['price_changed', 'product_unknown'].includes(code) || look === LOOKS) return answer;
    await sleep(LOOK_EVERY_MS);
  }
}

async function whenEnded(client: Client, purchase: Purchase): Promise<Purchase> {
  return until(client, purchase.id, purchase, (now) => now.completed_at !== null);
}

/** Looks at a purchase until it is so; after a long time it is given as it is. */
async function until(
  client: Client,
  id: string,
  first: Purchase | undefined,
  isSo: (purchase: Purchase) => boolean,
): Promise<Purchase> {
  let purchase = first;
  for (let look = 1; purchase === undefined || (!isSo(purchase) && look < LOOKS); look++) {
    if (purchase !== undefined) await sleep(LOOK_EVERY_MS);
    const answer = await persist(client, 'GET', `/purchases/${id}`, {});
    if (answer.status >= 300) throw new ApiError(answer, `purchase ${id}`);
    purchase = answer.body as Purchase;
  }
  return purchase;
}

async function openWallet(client: Client, user: string): Promise<void> {
  const answer = await persist(client, 'POST', '/wallets', { body: { user_id: user, currency: CURRENCY } });
  if (answer.status >= 300 && problemOf(answer).code !== 'wallet_already_exists')
    throw new ApiError(answer, `the wallet of ${user}`);
}

async function deposit(client: Client, user: string, invoice: Invoice): Promise<void> {
  const amount = formatAmount(sumOf(invoice.lines.map(amountOf)), CURRENCY);
  const body = { amount, reason: 'deposit', reference: `invoice-${invoice.number}` };
  const answer = await persist(client, 'POST', `/wallets/${user}/credits`, { body });
  if (answer.status >= 300) throw new ApiError(answer, `the money for invoice ${invoice.number}`);
}

/** Puts a product on sale at this price, and the units of the invoice into stock. */
async function stockUp(
  client: Client,
  { sku, description, quantity, priceMinor }: RetailLine,
  invoice: string,
  sales: Sales,
): Promise<void> {
  const details = { name: sales.nameOf(sku, description), price: toMajor(priceMinor, CURRENCY), currency: CURRENCY };
  const created = await persist(client, 'POST', '/products', { body: { sku, ...details } });
  if (created.status >= 300) {
    if (problemOf(created).code !== 'product_already_exists') throw new ApiError(created, `product ${sku}`);
    const updated = await persist(client, 'PUT', `/products/${sku}`, { body: details });
    if (updated.status >= 300) throw new ApiError(updated, `product ${sku}`);
  }
  const body = { change: quantity, reason: 'delivery', reference: `invoice-${invoice}` };
  const stocked = await persist(client, 'POST', `/inventory/${sku}/adjustments`, { body });
  if (stocked.status >= 300) throw new ApiError(stocked, `stock of ${sku}`);
}

/** Gives back what a cancellation names, of the latest purchases that have it. */
async function takeBack(
  client: Client,
  invoice: Invoice,
  sales: Sales,
): Promise<{ readonly returned: number; readonly unknown: readonly RefusedLine[] }> {
  const { returns, unknown } = sales.returnsOf(invoice);
  for (const { sale, units } of returns) {
    const lines = [...units].map(([sku, quantity]) => ({ product_id: sku, quantity }));
    const body = { reason: `cancellation ${invoice.number}`, reference: invoice.number, lines };
    const answer = await persist(client, 'POST', `/purchases/${sale.purchaseId}/cancel`, { body });
    if (answer.status >= 300) throw new ApiError(answer, `cancellation ${invoice.number}`);
  }
  return { returned: invoice.lines.length - unknown.length, unknown };
}

/** Compares purchases, stock and wallets with what the file leads to. */
async function compare(client: Client, sales: Sales): Promise<readonly string[]> {
  const inexact: string[] = [];
  const lanes = createLanes(CONCURRENCY);
  for (const sale of sales.all)
    await lanes.put(sale.invoice, async () => void inexact.push(...(await compareSale(client, sale))));
  await lanes.finish();
  for (const [sku, left] of sales.products)
    await lanes.put(sku, async () => {
      const { on_hand, reserved } = await client.get<{ on_hand: number; reserved: number }>(`/inventory/${sku}`);
      if (on_hand !== left || reserved !== 0)
        inexact.push(`stock of ${sku}: ${on_hand} and ${reserved} kept, by the file ${left} and none`);
    });
  for (const [customer, leftMinor] of sales.customers())
    await lanes.put(customer, async () => {
      const wallet = await client.get<{ balance_minor: number }>(`/wallets/${userOf(customer)}`);
      if (wallet.balance_minor !== leftMinor)
        inexact.push(`wallet of ${userOf(customer)}: ${money(wallet.balance_minor)}, by the file ${money(leftMinor)}`);
    });
  await lanes.finish();
  return inexact.sort();
}

async function compareSale(client: Client, sale: Sale): Promise<readonly string[]> {
  const { invoice, purchaseId, soldMinor, returnedMinor } = sale;
  const purchase = await until(client, purchaseId, undefined, (now) => now.refunded_minor >= returnedMinor);
  const status = returnedMinor === soldMinor ? 'CANCELLED' : 'COMPLETED';
  const expected = [status, money(soldMinor), money(returnedMinor)].join(', ');
  const found = [purchase.status, money(purchase.amount_minor), money(purchase.refunded_minor)].join(', ');
  return found === expected ? [] : [`purchase of invoice ${invoice}: ${found}, by the file ${expected}`];
}

function amountOf({ quantity, priceMinor }: RetailLine): MinorUnits {
  return quantity * priceMinor;
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, n) => sum + n, 0);
}

function money(minor: MinorUnits): string {
  return formatAmount(minor, CURRENCY);
}
