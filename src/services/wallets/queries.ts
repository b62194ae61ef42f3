import type { RowSource } from '#kernel/cache/row-cache.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { isUuid } from '#kernel/core/ids.ts';
import { CURRENCIES, currencyDecimals, MAX_AMOUNT_MINOR } from '#kernel/core/money.ts';
import type { Page } from '#kernel/core/page.ts';
import { pageOf } from '#kernel/core/page.ts';
import { fromTimestamp } from '#kernel/core/timestamp.ts';
import { EVENT_COLUMNS, type EventRow, toEvent } from '#kernel/event-store/postgres/read.ts';
import type { Store } from '#kernel/event-store/store.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import { WALLET, walletIdOf } from './contract.ts';
import { isWalletAccount, walletAccount } from './ledger.ts';
import { WALLET_TABLE, type WalletRow } from './projections.ts';

const PROBE_EVENTS = 8;
const PAGE_EVENTS = 200;
/** A page of a statement looks at no more than so many pages of the stream: declined requests and filters thin it out. */
const MAX_PAGES = 20;

const WALLET_COLUMNS = Object.keys(WALLET_TABLE.columns).join(', ');

/** The wallet with this id, or of the user with this id. A wallet's id is a function of its user's, so both are the key. */
export async function findWallet(wallets: RowSource<WalletRow>, idOrUser: string): Promise<WalletRow | undefined> {
  const byId = isUuid(idOrUser) ? await wallets.get(idOrUser) : undefined;
  return byId ?? wallets.get(walletIdOf(idOrUser));
}

/** Those of the wallets with these ids that there are. */
export function loadWallets(sql: Sql, ids: readonly string[]): Promise<readonly WalletRow[]> {
  const table = WALLET_TABLE.name;
  return sql.query<WalletRow>(`SELECT ${WALLET_COLUMNS} FROM ${table} WHERE wallet_id = ANY($1::uuid[])`, [ids]);
}

export interface WalletFilter {
  readonly userId?: string;
  /** Least balance in major units of each wallet's own currency, as exact decimal text such as `100.50`. */
  readonly minBalance?: string;
  readonly limit: number;
  /** `nextCursor` of the page before: a wallet's id. */
  readonly cursor?: string;
}

/** As the column `balance_band` is computed. */
const BAND_OF_LEAST =
  'sign(l.least)::integer * (10 * length(abs(l.least)::text) + left(abs(l.least)::text, 1)::integer)';

/**
 * The wallets of currency $4[i] with at least $5[i], for all i: one look into the index for each currency. Among 200,000
 * wallets, 8 ms when few are found and 100 ms when all are. OFFSET 0 keeps the planner from walking through every wallet
 * by id instead, which takes 250 ms when few are found.
 */
const WITH_LEAST_BALANCE = `unnest($4::text[], $5::bigint[]) AS l(of_currency, least) CROSS JOIN LATERAL
  (SELECT * FROM wallets.wallet_balances
    WHERE currency = l.of_currency AND balance_band >= ${BAND_OF_LEAST} AND balance_minor >= l.least OFFSET 0)`;

/** Wallets by id. */
export async function listWallets(sql: Sql, filter: WalletFilter): Promise<Page<WalletRow>> {
  const { userId, minBalance, limit, cursor = null } = filter;
  const least = minBalance === undefined ? undefined : leastBalances(minBalance);
  const rows = await sql.query<WalletRow>(
    `SELECT ${WALLET_COLUMNS} FROM ${least === undefined ? 'wallets.wallet_balances' : WITH_LEAST_BALANCE} w
      WHERE ($1::uuid IS NULL OR wallet_id = $1) AND ($2::uuid IS NULL OR wallet_id > $2) ORDER BY wallet_id LIMIT $3`,
    [
      userId === undefined ? null : walletIdOf(userId),
      cursor,
      limit + 1,
      ...(least === undefined ? [] : [[...least.keys()], [...least.values()].map(String)]),
    ],
  );
  return pageOf(rows, limit, (last) => last.wallet_id);
}

/** The least balances in minor units by currency; those are left out in which nobody can have that much. */
function leastBalances(major: string): ReadonlyMap<string, bigint> {
  const least = CURRENCIES.map((currency) => [currency, ceilMinor(major, currencyDecimals(currency) ?? 0)] as const);
  return new Map(least.filter(([, minor]) => minor <= MAX_AMOUNT_MINOR));
}

/** Decimal text in major units as minor units, rounded up; not below the least balance that there can be. */
function ceilMinor(major: string, decimals: number): bigint {
  const [whole = '', fraction = ''] = major.replace('-', '').split('.');
  const minor = BigInt(whole + fraction.padEnd(decimals, '0').slice(0, decimals));
  const rest = /[1-9]/.test(fraction.slice(decimals)) ? 1n : 0n;
  if (!major.startsWith('-')) return minor + rest;
  return minor < MAX_AMOUNT_MINOR ? -minor : BigInt(-MAX_AMOUNT_MINOR);
}

/** An account of the ledger. Sums of many payments may pass 2^53: hence bigint. */
export interface LedgerAccount {
  readonly account: string;
  readonly currency: string;
  readonly balanceMinor: bigint;
  /** How many postings it has. */
  readonly postings: number;
}

interface AccountRow {
  readonly account: string;
  readonly currency: string;
  readonly balance: string;
  readonly postings: number;
}

export interface AccountFilter {
  readonly limit: number;
  /** `nextCursor` of the page before: `<account> <currency>`. */
  readonly cursor?: string;
}

/** Every account of the ledger: first the platform's own, by name, then the wallets', by id. */
export async function listLedgerAccounts(sql: Sql, { limit, cursor }: AccountFilter): Promise<Page<LedgerAccount>> {
  const rows =
    cursor !== undefined && isWalletAccount(cursor) ? [] : [...(await platformAccounts(sql, cursor, limit + 1))];
  if (rows.length <= limit) rows.push(...(await walletAccounts(sql, cursor, limit + 1 - rows.length)));
  const accounts = rows.map(({ account, currency, balance, postings }) => {
    return { account, currency, balanceMinor: BigInt(balance), postings };
  });
  return pageOf(accounts, limit, (last) => `${last.account} ${last.currency}`);
}

function platformAccounts(sql: Sql, cursor: string | undefined, limit: number): Promise<readonly AccountRow[]> {
  const [account = '', currency = ''] = cursor?.split(' ') ?? [];
  return sql.query<AccountRow>(
    `SELECT account, currency, sum(balance_minor)::text AS balance, sum(postings)::bigint AS postings
      FROM wallets.ledger_accounts WHERE (account, currency) > ($1, $2)
      GROUP BY account, currency ORDER BY account, currency LIMIT $3`,
    [account, currency, limit],
  );
}

function walletAccounts(sql: Sql, cursor: string | undefined, limit: number): Promise<readonly AccountRow[]> {
  const after =
    cursor !== undefined && isWalletAccount(cursor) ? cursor.slice(walletAccount('').length).split(' ')[0] : null;
  return sql.query<AccountRow>(
    `SELECT $1 || wallet_id AS account, currency, balance_minor::text AS balance, movements AS postings
      FROM wallets.wallet_balances WHERE $2::uuid IS NULL OR wallet_id > $2 ORDER BY wallet_id LIMIT $3`,
    [walletAccount(''), after, limit],
  );
}

/** All balances of the ledger in one currency: what is above zero, what is below, and their sum, which must be zero. */
export interface TrialBalance {
  readonly currency: string;
  /** The sum of the balances below zero, without the sign. */
  readonly debitMinor: bigint;
  /** The sum of the balances above zero. */
  readonly creditMinor: bigint;
  /** credit - debit: zero, or money was made or lost. */
  readonly differenceMinor: bigint;
}

/** The trial balance per currency. One statement, hence one snapshot: also while payments run, it is zero or wrong. */
export async function trialBalance(sql: Sql): Promise<readonly TrialBalance[]> {
  const rows = await sql.query<{ currency: string; debit: string; credit: string }>(
    `SELECT currency, coalesce(-sum(balance) FILTER (WHERE balance < 0), 0)::text AS debit,
        coalesce(sum(balance) FILTER (WHERE balance > 0), 0)::text AS credit
      FROM (SELECT currency, sum(balance_minor) AS balance FROM wallets.ledger_accounts GROUP BY account, currency
        UNION ALL SELECT currency, balance_minor FROM wallets.wallet_balances) accounts
      GROUP BY currency ORDER BY currency`,
  );
  return rows.map(({ currency, debit, credit }) => {
    const [debitMinor, creditMinor] = [BigInt(debit), BigInt(credit)];
    return { currency, debitMinor, creditMinor, differenceMinor: creditMinor - debitMinor };
  });
}

/** What the past of a wallet, which stands in its stream alone, is found by. */
type WalletHead = Pick<WalletRow, 'wallet_id' | 'balance_minor' | 'last_effective_at' | 'backdated' | 'version'>;
type Reader = Pick<Store, 'readStream'>;

/** One movement of a wallet. Times in milliseconds since 1970. */
export interface StatementLine {
  readonly eventId: string;
  readonly position: number;
  readonly kind: 'debit' | 'credit';
  readonly amountMinor: number;
  readonly currency: string;
  readonly previousBalanceMinor: number;
  readonly newBalanceMinor: number;
  readonly reason: string;
  readonly reference: string | null;
  readonly paymentId: string | null;
  readonly refundId: string | null;
  readonly effectiveAt: number;
  readonly recordedAt: number;
}

export interface StatementOptions {
  readonly limit: number;
  /** `nextCursor` of the page before: a stream position. */
  readonly cursor?: number;
  /** Value date at or after, milliseconds since 1970. */
  readonly from?: number;
  /** Value date before, milliseconds since 1970. */
  readonly to?: number;
  /** Default: the last recorded first. */
  readonly oldestFirst?: boolean;
}

/** The first event of a wallet is never a movement. */
const FIRST_MOVEMENT = 2;

/** The movements of a wallet. A page may hold fewer than `limit` and still have a next one. */
export async function statement(
  store: Reader,
  wallet: WalletHead,
  options: StatementOptions,
): Promise<Page<StatementLine>> {
  const { limit, cursor, oldestFirst = false } = options;
  const stream = { type: WALLET, id: wallet.wallet_id };
  const step = oldestFirst ? 1 : -1;
  const lines: StatementLine[] = [];
  const pageSize = Math.min(limit + PROBE_EVENTS, PAGE_EVENTS);
  let next = cursor === undefined ? (oldestFirst ? FIRST_MOVEMENT : wallet.version) : cursor + step;
  const hasNext = (): boolean => next >= FIRST_MOVEMENT && next <= wallet.version;
  for (let page = 0; page < MAX_PAGES && hasNext() && lines.length < limit; page++) {
    const events = await store.readStream(stream, { from: next, limit: pageSize, backwards: !oldestFirst });
    if (events.length === 0) break;
    for (const event of events) {
      next = event.streamPosition + step;
      if (isMovement(event) && isWithin(event, options)) lines.push(toLine(event));
      if (lines.length === limit || !hasNext()) break;
    }
  }
  return { data: lines, nextCursor: hasNext() ? String(next - step) : null };
}

/**
 * The balance at the end of a moment by value date: all movements with `effective_at` <= `at`, minor units. Where the
 * movements are in the order of their value dates this is a binary search, otherwise the whole stream is summed.
 * @param at milliseconds since 1970
 */
export async function balanceAsOf(store: Reader, wallet: WalletHead, at: number): Promise<number> {
  if (wallet.last_effective_at === null || at >= wallet.last_effective_at) return wallet.balance_minor;
  return wallet.backdated ? sumUntil(store, wallet, at) : balanceBeforeFirstAfter(store, wallet, at);
}

async function sumUntil(store: Reader, wallet: WalletHead, at: number): Promise<number> {
  let sum = 0;
  for await (const { type, data } of movements(store, wallet, 1, PAGE_EVENTS)) {
    if (fromTimestamp(data.effective_at) > at) continue;
    sum += type === 'wallet.credited' ? data.amount_minor : -data.amount_minor;
  }
  return sum;
}

/** There is a movement after `at`, the last one: the balance before the first such movement is what is looked for. */
async function balanceBeforeFirstAfter(store: Reader, wallet: WalletHead, at: number): Promise<number> {
  let low = 1;
  let high = wallet.version;
  while (high - low > PROBE_EVENTS) {
    const middle = Math.floor((low + high) / 2);
    const event = await firstMovement(store, wallet, middle, PROBE_EVENTS, () => true);
    if (fromTimestamp(event.data.effective_at) > at) high = middle;
    else low = event.streamPosition + 1;
  }
  const after = await firstMovement(
    store,
    wallet,
    low,
    PAGE_EVENTS,
    ({ data }) => fromTimestamp(data.effective_at) > at,
  );
  return after.data.previous_balance_minor;
}

async function firstMovement(
  store: Reader,
  wallet: WalletHead,
  from: number,
  pageSize: number,
  matches: (event: RecordedEvent) => boolean,
): Promise<RecordedEvent> {
  for await (const event of movements(store, wallet, from, pageSize)) if (matches(event)) return event;
  throw new Error(
    `wallet ${wallet.wallet_id} has no such movement from position ${from} on, but its balance row says so`,
  );
}

/** The movements from a stream position up to the row's version, read by pages. */
async function* movements(
  store: Reader,
  wallet: WalletHead,
  from: number,
  pageSize: number,
): AsyncGenerator<RecordedEvent> {
  const stream = { type: WALLET, id: wallet.wallet_id };
  let next = from;
  while (next <= wallet.version) {
    const events = await store.readStream(stream, { from: next, limit: pageSize });
    if (events.length === 0) return;
    for (const event of events) {
      if (isMovement(event) && event.streamPosition <= wallet.version) yield event;
      next = event.streamPosition + 1;
    }
  }
}

function isMovement({ type }: RecordedEvent): boolean {
  return type === 'wallet.debited' || type === 'wallet.credited';
}

function isWithin({ data }: RecordedEvent, { from = -Infinity, to = Infinity }: StatementOptions): boolean {
  const effectiveAt = fromTimestamp(data.effective_at);
  return effectiveAt >= from && effectiveAt < to;
}

function toLine({ id, type, streamPosition, time, data }: RecordedEvent): StatementLine {
  return {
    eventId: id,
    position: streamPosition,
    kind: type === 'wallet.debited' ? 'debit' : 'credit',
    amountMinor: data.amount_minor,
    currency: data.currency,
    previousBalanceMinor: data.previous_balance_minor,
    newBalanceMinor: data.new_balance_minor,
    reason: data.reason,
    reference: data.reference ?? null,
    paymentId: data.payment_id ?? null,
    refundId: data.refund_id ?? null,
    effectiveAt: fromTimestamp(data.effective_at),
    recordedAt: time,
  };
}

/** A wallet at a moment of its stream, by its events. Amounts in minor units. */
export interface PastWallet {
  readonly walletId: string;
  readonly balanceMinor: number;
  readonly limitMinor: number;
  /** The stream position of the last event that says so. */
  readonly position: number;
}

/**
 * Wallets just before an event of theirs, from the events alone; those that were not opened before it are left out. Two
 * looks into the index of streams for each, in one statement.
 * @param moments the stream positions of the events
 */
export async function walletsBefore(
  sql: Sql,
  moments: readonly { readonly id: string; readonly before: number }[],
): Promise<readonly PastWallet[]> {
  const rows = await sql.query<{ id: string; limit_minor: number; balance_minor: number; position: number }>(
    `SELECT s.id, opened.limit_minor, coalesce(last.balance_minor, '0') AS balance_minor,
        coalesce(last.stream_position, opened.stream_position) AS position
      FROM unnest($1::uuid[], $2::bigint[]) AS s(id, before)
      CROSS JOIN LATERAL (SELECT event_data->'overdraft_limit_minor' AS limit_minor, stream_position FROM events
        WHERE aggregate_id = s.id AND aggregate_type = '${WALLET}' AND stream_position < s.before
          AND event_type = 'wallet.opened' ORDER BY stream_position LIMIT 1) opened
      LEFT JOIN LATERAL (SELECT event_data->'new_balance_minor' AS balance_minor, stream_position FROM events
        WHERE aggregate_id = s.id AND aggregate_type = '${WALLET}' AND stream_position < s.before
          AND event_type IN ('wallet.debited', 'wallet.credited') ORDER BY stream_position DESC LIMIT 1) last ON true`,
    [moments.map(({ id }) => id), moments.map(({ before }) => before)],
  );
  return rows.map(({ id, limit_minor, balance_minor, position }) => {
    return { walletId: id, balanceMinor: balance_minor, limitMinor: limit_minor, position };
  });
}

/** Where to look for movements: backwards in a wallet's stream. */
export interface MovementSearch {
  readonly walletId: string;
  /** The stream position to begin at. */
  readonly upTo: number;
}

/** The movements that were found, and where the search ended. */
export interface FoundMovements {
  readonly events: readonly RecordedEvent[];
  /** By wallet, when the last event was made that was looked at, milliseconds since 1970; none: all of the stream was. */
  readonly endedAt: ReadonlyMap<string, number>;
}

/**
 * The latest events of wallets that are about some payments: in each wallet so many events are looked at, and only those
 * that match leave the database.
 */
export async function movementsOfPayments(
  sql: Sql,
  searches: readonly MovementSearch[],
  paymentIds: readonly string[],
  lookBack: number,
): Promise<FoundMovements> {
  const rows = await sql.query<EventRow & { n: number; matches: boolean }>(
    `SELECT e.*, coalesce(e.event_data->>'payment_id' = ANY($3), false) AS matches
      FROM unnest($1::uuid[], $2::bigint[]) AS s(id, up_to)
      CROSS JOIN LATERAL (SELECT ${EVENT_COLUMNS}, row_number() OVER (ORDER BY e.stream_position DESC) AS n FROM events e
        WHERE e.aggregate_id = s.id AND e.aggregate_type = '${WALLET}' AND e.stream_position <= s.up_to
        ORDER BY e.stream_position DESC LIMIT $4) e
      WHERE e.event_data->>'payment_id' = ANY($3) OR e.n = $4`,
    [searches.map(({ walletId }) => walletId), searches.map(({ upTo }) => upTo), paymentIds, lookBack],
  );
  const ends = rows.filter(({ n }) => n === lookBack);
  return {
    events: rows.filter(({ matches }) => matches).map(toEvent),
    endedAt: new Map(ends.map((row) => [row.aggregate_id, row.timestamp])),
  };
}
