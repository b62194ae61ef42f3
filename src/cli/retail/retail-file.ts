import { createReadStream } from 'node:fs';
import { parse } from 'csv-parse';
import { type MinorUnits, parseLimit } from '#kernel/core/money.ts';
import { MAX_SKU } from '#services/catalog/contract.ts';
import { CliError } from '../failure.ts';

/** What the prices of the file are in. */
export const CURRENCY = 'GBP';

const COLUMNS = ['invoice', 'stock_code', 'description', 'quantity', 'unit_price', 'customer_id'] as const;
type Cells = Readonly<Record<(typeof COLUMNS)[number], string>>;

/** One line of an invoice that can be sold, or of a cancellation that can be looked for. */
export interface RetailLine {
  /** Of the file, the header being 1. */
  readonly line: number;
  readonly invoice: string;
  readonly sku: string;
  /** Empty: the file has none. */
  readonly description: string;
  /** Units; of a cancellation those that come back. */
  readonly quantity: number;
  readonly priceMinor: MinorUnits;
  readonly customer: string;
}

/** Why a line is not sold, or not taken back. */
export const REFUSALS = {
  malformed: 'a field is missing or cannot be read',
  no_product: 'the code is no product: postage, charges, or by hand',
  no_customer: 'nobody is named who could pay',
  zero_price: 'the price is zero, or less',
  zero_quantity: 'the quantity is zero',
  negative_quantity: 'the quantity is negative, and the invoice is no cancellation',
  not_negative: 'the invoice is a cancellation, and the quantity is not negative',
  two_prices: 'the invoice has the product at another price already',
  two_customers: 'the invoice is of another customer already',
  nothing_to_cancel: 'the customer has bought no such units at this price in the file before',
  not_sold: 'the purchase was cancelled',
} as const;
export type Refusal = keyof typeof REFUSALS;

/** A line that is not sold, or not taken back. */
export interface RefusedLine {
  readonly line: number;
  readonly invoice: string;
  readonly stock_code: string;
  readonly reason: Refusal;
  /** What exactly is wrong. */
  readonly detail: string;
}

/** All lines of one invoice that follow each other in the file. */
export interface Invoice {
  readonly number: string;
  readonly isCancellation: boolean;
  readonly lines: readonly RetailLine[];
  readonly refused: readonly RefusedLine[];
}

/** The code of a product: five digits, and the letters of its variant. */
const PRODUCT = /^\d{5}[A-Za-z]{0,3}$/;
const NAME = /^[\w-]{1,64}$/;
const QUANTITY = /^-?\d{1,9}$/;

/**
 * Reads the invoices of a shop's CSV file in their order. Lines that cannot be sold are in `refused`, each with its reason.
 * @throws CliError when the file cannot be read, its header lacks a column, or an invoice comes in two places
 */
export async function* readInvoices(path: string): AsyncGenerator<Invoice> {
  const seen = new Set<string>();
  let cells: { readonly line: number; readonly cells: Cells }[] = [];
  for await (const row of readRows(path)) {
    const number = row.cells.invoice;
    if (cells.length > 0 && cells[0]!.cells.invoice !== number) {
      yield invoiceOf(cells);
      cells = [];
    }
    if (cells.length === 0 && seen.has(number))
      throw new CliError(
        `${path}, line ${row.line}: invoice ${number} was further up already; its lines must be together`,
      );
    seen.add(number);
    cells.push(row);
  }
  if (cells.length > 0) yield invoiceOf(cells);
}

async function* readRows(path: string): AsyncGenerator<{ readonly line: number; readonly cells: Cells }> {
  const parser = createReadStream(path).pipe(
    parse({ bom: true, columns: (header) => checkHeader(path, header), info: true }),
  );
  try {
    // The line that a row ends on, which is where it begins unless a text has line breaks.
    for await (const { record, info } of parser) yield { line: info.lines, cells: record };
  } catch (cause) {
    if (cause instanceof CliError) throw cause;
    throw new CliError(`${path} cannot be read: ${(cause as Error).message}`, undefined, { cause });
  }
}

function checkHeader(path: string, header: readonly string[]): string[] {
  const missing = COLUMNS.filter((column) => !header.includes(column));
  if (missing.length === 0) return [...header];
  throw new CliError(
    `${path}: the first line must name the columns ${COLUMNS.join(', ')}; missing: ${missing.join(', ')}`,
  );
}

function invoiceOf(rows: readonly { readonly line: number; readonly cells: Cells }[]): Invoice {
  const number = rows[0]!.cells.invoice;
  const isCancellation = number.startsWith('C');
  const lines: RetailLine[] = [];
  const refused: RefusedLine[] = [];
  for (const { line, cells } of rows) {
    const read = readLine(line, cells, isCancellation);
    const found = 'sku' in read ? (conflictOf(read, lines) ?? read) : read;
    if ('sku' in found) lines.push(found);
    else refused.push({ line, invoice: number, stock_code: cells.stock_code, ...found });
  }
  return { number, isCancellation, lines, refused };
}

type Problem = Pick<RefusedLine, 'reason' | 'detail'>;

function leaveOut(reason: Refusal, detail: string = REFUSALS[reason]): Problem {
  return { reason, detail };
}

function readLine(line: number, cells: Cells, isCancellation: boolean): RetailLine | Problem {
  const { invoice, stock_code: sku, description, quantity: units, unit_price: price, customer_id: customer } = cells;
  const parsed = parseLimit(price.replace(/^-/, ''), CURRENCY, 'unit_price');
  if (!NAME.test(invoice)) return leaveOut('malformed', `invoice must be 1 to 64 letters and digits, not "${invoice}"`);
  if (!QUANTITY.test(units)) return leaveOut('malformed', `quantity must be a whole number, not "${units}"`);
  if (!parsed.ok) return leaveOut('malformed', parsed.refusal.message);
  if (!PRODUCT.test(sku) || sku.length > MAX_SKU)
    return leaveOut('no_product', `"${sku}" is no product: ${description}`);
  if (parsed.value === 0 || price.startsWith('-')) return leaveOut('zero_price', `the price is ${price}`);
  const quantity = Number(units);
  if (quantity === 0) return leaveOut('zero_quantity');
  if (isCancellation !== quantity < 0)
    return leaveOut(isCancellation ? 'not_negative' : 'negative_quantity', `the quantity is ${units}`);
  if (customer === '') return leaveOut('no_customer');
  if (!NAME.test(customer))
    return leaveOut('malformed', `customer_id must be 1 to 64 letters and digits, not "${customer}"`);
  return { line, invoice, sku, description, quantity: Math.abs(quantity), priceMinor: parsed.value, customer };
}

/** What keeps a line from being on one purchase with those before it. */
function conflictOf(line: RetailLine, before: readonly RetailLine[]): Problem | undefined {
  const [first] = before;
  if (first !== undefined && first.customer !== line.customer)
    return leaveOut('two_customers', `customer ${line.customer}, and the invoice is of ${first.customer}`);
  const other = before.find(({ sku, priceMinor }) => sku === line.sku && priceMinor !== line.priceMinor);
  return other && leaveOut('two_prices', `${line.sku} is on line ${other.line} at another price`);
}
