import type { RecordedEvent } from '#kernel/core/event.ts';
import { invariant } from '#kernel/core/invariant.ts';
import type { Increment, RowProjection, SumProjection } from '#kernel/core/projection.ts';
import type { TableDefinition } from '#kernel/core/table.ts';
import { fromTimestamp } from '#kernel/core/timestamp.ts';
import type { WalletEvent } from './decider.ts';
import { isWalletAccount, LEDGER_EVENTS, postings } from './ledger.ts';

/** A wallet as it is read. Times in milliseconds since 1970. */
export type WalletRow = {
  readonly wallet_id: string;
  readonly user_id: string;
  readonly currency: string;
  readonly balance_minor: number;
  readonly overdraft_limit_minor: number;
  /** How many debits and credits there were. */
  readonly movements: number;
  /** The latest value date of a movement; null when there was none. */
  readonly last_effective_at: number | null;
  /** True when the movements are not in the order of their value dates. */
  readonly backdated: boolean;
  readonly opened_at: number;
  readonly updated_at: number;
  /** The stream position of the last movement. */
  readonly version: number;
};

/** The table of `WalletRow`. */
export const WALLET_TABLE: TableDefinition = {
  name: 'wallets.wallet_balances',
  columns: {
    wallet_id: 'uuid',
    user_id: 'text',
    currency: 'text',
    balance_minor: 'bigint',
    overdraft_limit_minor: 'bigint',
    movements: 'bigint',
    last_effective_at: 'timestamptz',
    backdated: 'boolean',
    opened_at: 'timestamptz',
    updated_at: 'timestamptz',
    version: 'bigint',
  },
  key: ['wallet_id'],
};

/** Balances, written with the movements themselves: what is read is what was decided. */
export const walletBalances: RowProjection<WalletRow> = {
  kind: 'rows',
  name: 'wallet_balances',
  table: WALLET_TABLE,
  events: ['wallet.opened', 'wallet.debited', 'wallet.credited'],
  key: (event) => [event.aggregateId],
  startsRow: (event) => event.type === 'wallet.opened',
  evolve: evolveRow,
};

function evolveRow(row: WalletRow | undefined, recorded: RecordedEvent): WalletRow {
  const event = recorded as RecordedEvent & WalletEvent;
  if (event.type === 'wallet.opened') return openedRow(event);
  invariant(row !== undefined, 'the row of a wallet starts with wallet.opened');
  invariant(event.type === 'wallet.debited' || event.type === 'wallet.credited', 'only movements change a balance');
  const effectiveAt = fromTimestamp(event.data.effective_at);
  const last = row.last_effective_at;
  return {
    ...row,
    balance_minor: event.data.new_balance_minor,
    movements: row.movements + 1,
    last_effective_at: last === null ? effectiveAt : Math.max(last, effectiveAt),
    backdated: row.backdated || (last !== null && effectiveAt < last),
    updated_at: event.time,
    version: event.streamPosition,
  };
}

function openedRow({ data, time, streamPosition }: RecordedEvent & { type: 'wallet.opened' }): WalletRow {
  return {
    wallet_id: data.wallet_id,
    user_id: data.user_id,
    currency: data.currency,
    balance_minor: 0,
    overdraft_limit_minor: data.overdraft_limit_minor,
    movements: 0,
    last_effective_at: null,
    backdated: false,
    opened_at: fromTimestamp(data.opened_at),
    updated_at: time,
    version: streamPosition,
  };
}

/**
 * The ledger's accounts but the wallets' own, whose balances stand in `wallet_balances`. Few rows that every payment
 * touches: hence sums, of which each writer has its own stripe.
 */
export const ledgerAccounts: SumProjection = {
  kind: 'sums',
  name: 'ledger_accounts',
  table: {
    name: 'wallets.ledger_accounts',
    columns: {
      account: 'text',
      currency: 'text',
      stripe: 'integer',
      balance_minor: 'bigint',
      debits_minor: 'bigint',
      credits_minor: 'bigint',
      postings: 'bigint',
    },
    key: ['account', 'currency', 'stripe'],
  },
  events: LEDGER_EVENTS,
  increments,
};

function increments(event: RecordedEvent): readonly Increment[] {
  const found: Increment[] = [];
  for (const { account, currency, amountMinor } of postings(event)) {
    if (isWalletAccount(account)) continue;
    const add = {
      balance_minor: amountMinor,
      debits_minor: Math.max(-amountMinor, 0),
      credits_minor: Math.max(amountMinor, 0),
      postings: 1,
    };
    found.push({ key: { account, currency }, add });
  }
  return found;
}
