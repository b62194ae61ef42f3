import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { type MinorUnits, parseAmount, parseLimit } from '#kernel/core/money.ts';
import { CliError } from '../failure.ts';

/** What the amounts of the file are in. */
export const CURRENCY = 'CZK';

const COLUMNS = ['date', 'account', 'transaction', 'kind', 'operation', 'amount', 'bank_balance'] as const;
type Cells = Readonly<Record<(typeof COLUMNS)[number], string>>;

/** One movement of one account. */
export interface BankMovement {
  /** Of the file, the header being 1. */
  readonly line: number;
  /** `1993-01-31`. */
  readonly date: string;
  readonly account: string;
  readonly transaction: string;
  readonly kind: 'credit' | 'debit';
  readonly operation: string;
  /** Decimal text as in the file. */
  readonly amount: string;
  readonly amountMinor: MinorUnits;
  /** What the bank recorded after the movement. */
  readonly bankBalanceMinor: MinorUnits;
}

/** A line that cannot be understood, and why. */
export interface MalformedLine {
  readonly line: number;
  readonly problem: string;
}

/**
 * Reads a bank's CSV file line by line: movements in file order, and what is malformed. Memory does not grow with the file.
 * @throws CliError when the file cannot be read, or its header lacks a column
 */
export async function* readBankFile(path: string): AsyncGenerator<BankMovement | MalformedLine> {
  const stream = createReadStream(path, 'utf8');
  const lines = createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY });
  let header: readonly string[] | undefined;
  let line = 0;
  try {
    for await (const text of lines) {
      line += 1;
      if (header === undefined) header = checkHeader(path, text);
      else if (text !== '') yield parseLine(header, text, line);
    }
  } catch (cause) {
    if (cause instanceof CliError) throw cause;
    throw new CliError(`${path} cannot be read: ${(cause as Error).message}`, undefined, { cause });
  } finally {
    stream.destroy();
  }
  if (header === undefined) throw new CliError(`${path} is empty; its first line must name the columns`);
}

function checkHeader(path: string, text: string): readonly string[] {
  const header = text.replace(/^\ufeff/, '').split(',');
  const missing = COLUMNS.filter((column) => !header.includes(column));
  if (missing.length === 0) return header;
  throw new CliError(
    `${path}: the first line must name the columns ${COLUMNS.join(', ')}; missing: ${missing.join(', ')}`,
  );
}

function parseLine(header: readonly string[], text: string, line: number): BankMovement | MalformedLine {
  const values = text.split(',');
  if (values.length !== header.length) return { line, problem: `${values.length} fields instead of ${header.length}` };
  const cells = Object.fromEntries(header.map((name, i) => [name, values[i]!.trim()])) as unknown as Cells;
  const amount = parseAmount(cells.amount, CURRENCY);
  const negative = cells.bank_balance.startsWith('-');
  const balance = parseLimit(negative ? cells.bank_balance.slice(1) : cells.bank_balance, CURRENCY, 'bank_balance');
  if (!isDate(cells.date)) return { line, problem: `date must be such as 1993-01-31, not "${cells.date}"` };
  if (!isName(cells.account))
    return { line, problem: `account must be 1 to 100 letters, digits, "-" or "_", not "${cells.account}"` };
  if (!isName(cells.transaction))
    return { line, problem: `transaction must be 1 to 100 letters, digits, "-" or "_", not "${cells.transaction}"` };
  if (!isKind(cells.kind)) return { line, problem: `kind must be credit or debit, not "${cells.kind}"` };
  if (cells.operation === '') return { line, problem: 'operation is empty' };
  if (!amount.ok) return { line, problem: amount.refusal.message };
  if (!balance.ok) return { line, problem: balance.refusal.message };
  const { date, account, transaction, kind, operation } = cells;
  const bankBalanceMinor = negative ? -balance.value : balance.value;
  return {
    line,
    date,
    account,
    transaction,
    kind,
    operation,
    amount: cells.amount,
    amountMinor: amount.value,
    bankBalanceMinor,
  };
}

function isDate(text: string): boolean {
  const time = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(text);
}

function isName(text: string): boolean {
  return /^[A-Za-z0-9_-]{1,100}$/.test(text);
}

function isKind(text: string): text is BankMovement['kind'] {
  return text === 'credit' || text === 'debit';
}

/** What one look through the file tells. */
export interface BankFileSummary {
  readonly movements: number;
  /** The first of them. */
  readonly malformed: readonly MalformedLine[];
  readonly malformedLines: number;
}

const MAX_MALFORMED_SHOWN = 20;

/** Looks through the whole file, so that nothing is imported of one that is malformed. */
export async function inspectBankFile(path: string): Promise<BankFileSummary> {
  const malformed: MalformedLine[] = [];
  let movements = 0;
  let malformedLines = 0;
  for await (const item of readBankFile(path)) {
    if (!('problem' in item)) movements += 1;
    else if (++malformedLines <= MAX_MALFORMED_SHOWN) malformed.push(item);
  }
  return { movements, malformed, malformedLines };
}
