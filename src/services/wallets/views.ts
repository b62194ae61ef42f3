import { type Static, Type } from '@sinclair/typebox';
import type { EventOf, RecordedEvent } from '#kernel/core/event.ts';
import { toMajor } from '#kernel/core/money.ts';
import { oneOf } from '#kernel/core/schemas.ts';
import { fromTimestamp, toTimestamp } from '#kernel/core/timestamp.ts';
import { nullableText } from '#kernel/http/operation.ts';
import type { walletCredited, walletDebited } from './contract.ts';
import type { WalletState } from './decider.ts';
import type { WalletRow } from './projections.ts';
import type { LedgerAccount, StatementLine, TrialBalance } from './queries.ts';

/** An amount or a balance in answers: the JSON number of the major unit, and the exact integer. */
const money = <Name extends string>(name: Name) =>
  ({
    [name]: Type.Number({ description: 'in major units' }),
    [`${name}_minor`]: Type.Integer({ description: 'in minor units, exact' }),
  }) as Record<Name, ReturnType<typeof Type.Number>> & Record<`${Name}_minor`, ReturnType<typeof Type.Integer>>;

export const walletSchema = Type.Object({
  id: Type.String(),
  user_id: Type.String(),
  currency: Type.String(),
  ...money('balance'),
  ...money('overdraft_limit'),
  movements: Type.Integer({ description: 'how many debits and credits there were' }),
  opened_at: Type.String(),
  updated_at: Type.String(),
});
type WalletView = Static<typeof walletSchema>;

export const movementSchema = Type.Object({
  id: Type.String(),
  wallet_id: Type.String(),
  user_id: Type.String(),
  kind: oneOf(['credit', 'debit']),
  ...money('amount'),
  currency: Type.String(),
  ...money('previous_balance'),
  ...money('new_balance'),
  reason: Type.String(),
  reference: nullableText("the caller's own name of a direct movement"),
  payment_id: nullableText(),
  refund_id: nullableText(),
  effective_at: Type.String({ description: 'the value date' }),
  recorded_at: Type.String(),
});
type MovementView = Static<typeof movementSchema>;

export const balanceSchema = Type.Object({
  wallet_id: Type.String(),
  user_id: Type.String(),
  currency: Type.String(),
  ...money('balance'),
  as_of: Type.String({ description: 'all movements with a value date up to here' }),
});
type BalanceView = Static<typeof balanceSchema>;

export const accountSchema = Type.Object({
  account: Type.String(),
  currency: Type.String(),
  ...money('balance'),
  postings: Type.Integer(),
});

export const trialBalanceSchema = Type.Object({
  balanced: Type.Boolean({ description: 'true: every currency sums to zero' }),
  at: Type.String(),
  currencies: Type.Array(
    Type.Object({ currency: Type.String(), ...money('debit'), ...money('credit'), ...money('difference') }),
  ),
});

export function walletView(row: WalletRow): WalletView {
  const { currency } = row;
  return {
    id: row.wallet_id,
    user_id: row.user_id,
    currency,
    balance: toMajor(row.balance_minor, currency),
    balance_minor: row.balance_minor,
    overdraft_limit: toMajor(row.overdraft_limit_minor, currency),
    overdraft_limit_minor: row.overdraft_limit_minor,
    movements: row.movements,
    opened_at: toTimestamp(row.opened_at),
    updated_at: toTimestamp(row.updated_at),
  };
}

/** A wallet that was just opened. @param at milliseconds since 1970 */
export function openedView(wallet: WalletState, at: number): WalletView {
  return walletView({
    wallet_id: wallet.id,
    user_id: wallet.userId,
    currency: wallet.currency,
    balance_minor: wallet.balanceMinor,
    overdraft_limit_minor: wallet.overdraftLimitMinor,
    movements: 0,
    last_effective_at: null,
    backdated: false,
    opened_at: at,
    updated_at: at,
    version: 1,
  });
}

/** A movement that was just recorded. */
export function recordedView(
  event: RecordedEvent<EventOf<typeof walletDebited | typeof walletCredited>['data']>,
): MovementView {
  const { data } = event;
  return movementView(data, {
    eventId: event.id,
    position: event.streamPosition,
    kind: event.type === 'wallet.debited' ? 'debit' : 'credit',
    amountMinor: data.amount_minor,
    currency: data.currency,
    previousBalanceMinor: data.previous_balance_minor,
    newBalanceMinor: data.new_balance_minor,
    reason: data.reason,
    reference: data.reference ?? null,
    paymentId: data.payment_id ?? null,
    refundId: data.refund_id ?? null,
    effectiveAt: fromTimestamp(data.effective_at),
    recordedAt: event.time,
  });
}

export function movementView(owner: Pick<WalletRow, 'wallet_id' | 'user_id'>, line: StatementLine): MovementView {
  const { currency } = line;
  return {
    id: line.eventId,
    wallet_id: owner.wallet_id,
    user_id: owner.user_id,
    kind: line.kind,
    amount: toMajor(line.amountMinor, currency),
    amount_minor: line.amountMinor,
    currency,
    previous_balance: toMajor(line.previousBalanceMinor, currency),
    previous_balance_minor: line.previousBalanceMinor,
    new_balance: toMajor(line.newBalanceMinor, currency),
    new_balance_minor: line.newBalanceMinor,
    reason: line.reason,
    reference: line.reference,
    payment_id: line.paymentId,
    refund_id: line.refundId,
    effective_at: toTimestamp(line.effectiveAt),
    recorded_at: toTimestamp(line.recordedAt),
  };
}

/** @param at milliseconds since 1970 */
export function balanceView(row: WalletRow, balanceMinor: number, at: number): BalanceView {
  return {
    wallet_id: row.wallet_id,
    user_id: row.user_id,
    currency: row.currency,
    balance: toMajor(balanceMinor, row.currency),
    balance_minor: balanceMinor,
    as_of: toTimestamp(at),
  };
}

/** The exact integers stay bigint: the serializer writes them digit by digit. */
export function accountView({ account, currency, balanceMinor, postings }: LedgerAccount) {
  return { account, currency, ...exact('balance', balanceMinor, currency), postings };
}

export function trialBalanceView(balances: readonly TrialBalance[], at: number) {
  return {
    balanced: balances.every(({ differenceMinor }) => differenceMinor === 0n),
    at: toTimestamp(at),
    currencies: balances.map(({ currency, debitMinor, creditMinor, differenceMinor }) => ({
      currency,
      ...exact('debit', debitMinor, currency),
      ...exact('credit', creditMinor, currency),
      ...exact('difference', differenceMinor, currency),
    })),
  };
}

function exact<Name extends string>(name: Name, minor: bigint, currency: string) {
  return { [name]: toMajor(Number(minor), currency), [`${name}_minor`]: minor } as Record<Name, number> &
    Record<`${Name}_minor`, bigint>;
}
