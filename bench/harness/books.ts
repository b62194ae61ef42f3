import type { Sql } from '#kernel/postgres/sql.ts';
import { trialBalance } from '#services/wallets/queries.ts';

/** What the books say after a load, compared with what must be. */
export interface BooksReport {
  /** Every wallet is its opening balance less the payments approved, and each currency sums to zero. */
  readonly balanced: boolean;
  /** Wallets whose balance is wrong. */
  readonly wrongWallets: readonly string[];
}

/**
 * What each wallet must hold: its opening balance less the payments approved, minor units.
 * @param openingMinor what each wallet was opened with, by user
 */
export async function expectedBalances(
  sql: Sql,
  openingMinor: ReadonlyMap<string, number>,
): Promise<ReadonlyMap<string, number>> {
  const paid = await sql.query<{ customer_id: string; paid: number }>(
    `SELECT customer_id, sum(amount_minor - refunded_minor)::bigint AS paid FROM payments.saga_projections
      WHERE method = 'wallet' AND status IN ('APPROVED', 'PARTIALLY_REFUNDED', 'REFUNDED') GROUP BY customer_id`,
  );
  const paidBy = new Map(paid.map((row) => [row.customer_id, row.paid]));
  return new Map([...openingMinor].map(([user, opening]) => [user, opening - (paidBy.get(user) ?? 0)]));
}

/**
 * Checks every balance and the ledger.
 * @param openingMinor what each wallet was opened with, by user
 */
export async function checkBooks(sql: Sql, openingMinor: ReadonlyMap<string, number>): Promise<BooksReport> {
  const expected = await expectedBalances(sql, openingMinor);
  const balances = await sql.query<{ user_id: string; balance_minor: number }>(
    'SELECT user_id, balance_minor FROM wallets.wallet_balances',
  );
  const balanceOf = new Map(balances.map((row) => [row.user_id, row.balance_minor]));
  const wrongWallets = [...expected].filter(([user, minor]) => balanceOf.get(user) !== minor).map(([user]) => user);
  const currencies = await trialBalance(sql);
  const sumsToZero = currencies.every((currency) => currency.differenceMinor === 0n);
  return { balanced: sumsToZero && wrongWallets.length === 0 && balances.length === openingMinor.size, wrongWallets };
}

/** What a load makes: where it is read, and how what succeeded is called there. */
export interface Made {
  readonly table: string;
  readonly success: string;
}

export const PAYMENTS_MADE: Made = { table: 'payments.saga_projections', success: 'APPROVED' };
export const PURCHASES_MADE: Made = { table: 'purchases.purchases', success: 'COMPLETED' };

/** All that a load made. */
export interface MadeCounts {
  readonly created: number;
  readonly unfinished: number;
  readonly amountMinor: number;
}

export async function countMade(sql: Sql, { table }: Made): Promise<MadeCounts> {
  const rows = await sql.query<MadeCounts>(
    `SELECT count(*) AS created, count(*) FILTER (WHERE completed_at IS NULL) AS unfinished,
        coalesce(sum(amount_minor), 0)::bigint AS "amountMinor" FROM ${table}`,
  );
  return rows[0]!;
}

/** What ended within a stretch of time. */
export interface WindowCounts {
  readonly completed: number;
  readonly succeeded: number;
  /** From accepted to final, of all of them, milliseconds. */
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** @param from milliseconds since 1970; `to` likewise, exclusive */
export async function countWindow(sql: Sql, { table, success }: Made, from: number, to: number): Promise<WindowCounts> {
  const window = [new Date(from), new Date(to), success];
  const took = 'extract(epoch FROM completed_at - created_at) * 1000';
  const quantile = (q: number, name: string): string =>
    `coalesce(percentile_disc(${q}) WITHIN GROUP (ORDER BY ${took}), 0)::float8 AS ${name}`;
  const [counts] = await sql.query<WindowCounts>(
    `SELECT count(*) AS completed, count(*) FILTER (WHERE status = $3) AS succeeded,
        ${quantile(0.5, 'p50')}, ${quantile(0.95, 'p95')}, ${quantile(0.99, 'p99')}
      FROM ${table} WHERE completed_at >= $1 AND completed_at < $2`,
    window,
  );
  return counts!;
}
