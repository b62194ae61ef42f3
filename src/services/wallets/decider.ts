import type { Decider, DecisionContext } from '#kernel/core/decider.ts';
import type { EventOf } from '#kernel/core/event.ts';
import { invariant } from '#kernel/core/invariant.ts';
import { formatAmount, MAX_AMOUNT_MINOR, toMajor } from '#kernel/core/money.ts';
import type { Result } from '#kernel/core/result.ts';
import { accept, refuse } from '#kernel/core/result.ts';
import { fromTimestamp, toTimestamp } from '#kernel/core/timestamp.ts';
import {
  type MovementRefusal,
  WALLET,
  type walletCreditDeclined,
  type walletCredited,
  type walletDebitDeclined,
  type walletDebited,
  type walletOpened,
} from './contract.ts';

/** Everything that the stream of a wallet can hold. */
export type WalletEvent = EventOf<
  | typeof walletOpened
  | typeof walletDebited
  | typeof walletCredited
  | typeof walletDebitDeclined
  | typeof walletCreditDeclined
>;

/** A wallet. `id` is empty until it was opened: requests may be declined before that. */
export interface WalletState {
  readonly id: string;
  readonly userId: string;
  readonly currency: string;
  readonly balanceMinor: number;
  readonly overdraftLimitMinor: number;
  /** The latest value date of a movement so far, milliseconds since 1970; 0 when there was none. */
  readonly lastEffectiveAt: number;
  /** True when a movement was dated before an earlier one: the stream is then not in the order of value dates. */
  readonly backdated: boolean;
}

export interface OpenWallet {
  readonly type: 'OpenWallet';
  /** `walletIdOf(userId)`: also the id of the stream. */
  readonly walletId: string;
  readonly userId: string;
  readonly currency: string;
  readonly overdraftLimitMinor: number;
}

/** A direct movement: a deposit, a withdrawal, a fee. */
export interface MoveMoney {
  readonly type: 'Credit' | 'Debit';
  readonly amountMinor: number;
  /** Refused when the wallet is in another one. */
  readonly currency?: string;
  /** `fee` on a debit goes to the ledger's account `fees`, everything else to `world`. */
  readonly reason: string;
  readonly reference?: string;
  /** The value date, milliseconds since 1970; now when absent. */
  readonly effectiveAt?: number;
  readonly traceId?: string;
}

interface PaymentRequest {
  readonly walletId: string;
  readonly userId: string;
  readonly paymentId: string;
  readonly amountMinor: number;
  readonly currency: string;
  readonly traceId: string;
  /** When this attempt was made, milliseconds since 1970. */
  readonly requestedAt: number;
  /** 1 for the first. */
  readonly attempt: number;
}

/** A payment asks for its amount. */
export interface DebitForPayment extends PaymentRequest {
  readonly type: 'DebitForPayment';
}

/** A refund, or a compensation, gives money back. */
export interface CreditForPayment extends PaymentRequest {
  readonly type: 'CreditForPayment';
  readonly refundId: string;
  readonly reason: 'refund' | 'compensation';
}

export type WalletCommand = OpenWallet | MoveMoney | DebitForPayment | CreditForPayment;

export interface WalletSettings {
  /**
   * A first request older than this (milliseconds) is left unanswered: it may have been set aside while its repetition
   * was answered, and only repetitions look for earlier answers. The payment, which waits no longer than this before it
   * asks again, loses nothing. So it must not exceed the payments' deadline of a debit.
   */
  readonly requestTtlMs: number;
}

export const DEFAULT_WALLET_SETTINGS: WalletSettings = { requestTtlMs: 5_000 };

const NO_WALLET: WalletState = {
  id: '',
  userId: '',
  currency: '',
  balanceMinor: 0,
  overdraftLimitMinor: 0,
  lastEffectiveAt: 0,
  backdated: false,
};

type Decision = Result<readonly WalletEvent[]>;

/**
 * The aggregate of wallets. Clients are refused (`wallet_already_exists`, `wallet_not_found`, `currency_mismatch`,
 * `insufficient_funds`, `balance_too_large`, `amount_not_positive`); payments are answered by an event, also with a no.
 */
export function createWalletDecider(settings: WalletSettings): Decider<WalletState, WalletCommand, WalletEvent> {
  return {
    aggregate: WALLET,
    stateVersion: 1,
    initial: NO_WALLET,
    evolve,
    decide: (command, state, context) => decide(command, state, context, settings),
  };
}

function decide(
  command: WalletCommand,
  state: WalletState,
  context: DecisionContext,
  settings: WalletSettings,
): Decision {
  switch (command.type) {
    case 'OpenWallet':
      return open(command, state, context.now);
    case 'Credit':
    case 'Debit':
      return moveDirectly(command, state, context.now);
    case 'DebitForPayment':
    case 'CreditForPayment':
      if (isAnswered(context) || isStale(command, context.now, settings)) return accept([]);
      return accept([moveForPayment(command, state, context.now)]);
  }
}

/** The answer to an earlier attempt stands in the log and reaches the payment from there. */
function isAnswered(context: DecisionContext): boolean {
  return context.answered === true;
}

function isStale(command: PaymentRequest, now: number, settings: WalletSettings): boolean {
  return command.attempt === 1 && now - command.requestedAt > settings.requestTtlMs;
}

function open(command: OpenWallet, state: WalletState, now: number): Decision {
  const { walletId, userId, currency, overdraftLimitMinor } = command;
  if (state.id !== '') return refuse('wallet_already_exists', `the user has a wallet already, in ${state.currency}`);
  invariant(
    Number.isSafeInteger(overdraftLimitMinor) && overdraftLimitMinor >= 0,
    'an overdraft limit is a safe integer',
  );
  const data = {
    wallet_id: walletId,
    user_id: userId,
    currency,
    overdraft_limit: toMajor(overdraftLimitMinor, currency),
    overdraft_limit_minor: overdraftLimitMinor,
    opened_at: toTimestamp(now),
  };
  return accept([{ type: 'wallet.opened', data }]);
}

function moveDirectly(command: MoveMoney, state: WalletState, now: number): Decision {
  const { type, amountMinor, currency = state.currency, reason, reference, effectiveAt = now, traceId } = command;
  if (!Number.isSafeInteger(amountMinor) || amountMinor <= 0) {
    return refuse('amount_not_positive', 'amount must be greater than zero', 'amount');
  }
  const signed = type === 'Credit' ? amountMinor : -amountMinor;
  const refusal = refusalOf(state, signed, currency);
  if (refusal !== undefined) return refuse(refusal, refusalMessage(refusal, state, currency));
  const data = {
    ...movement(state, signed, effectiveAt),
    reason,
    ...(reference !== undefined && { reference }),
    ...(traceId !== undefined && { trace_id: traceId }),
  };
  return accept([{ type: type === 'Credit' ? 'wallet.credited' : 'wallet.debited', data }]);
}

function moveForPayment(command: DebitForPayment | CreditForPayment, state: WalletState, now: number): WalletEvent {
  const { paymentId: payment_id, traceId: trace_id, amountMinor } = command;
  const credit = command.type === 'CreditForPayment';
  const signed = credit ? amountMinor : -amountMinor;
  const refusal = refusalOf(state, signed, command.currency);
  if (refusal !== undefined) {
    const data = { ...refused(command, state, refusal), payment_id, trace_id };
    return credit
      ? { type: 'wallet.credit.declined', data: { ...data, refund_id: command.refundId } }
      : { type: 'wallet.debit.declined', data };
  }
  const data = { ...movement(state, signed, now), payment_id, trace_id };
  return credit
    ? { type: 'wallet.credited', data: { ...data, refund_id: command.refundId, reason: command.reason } }
    : { type: 'wallet.debited', data: { ...data, reason: 'success' } };
}

/**
 * Why the amount (negative: out of the wallet) cannot be moved; undefined when it can. The sum of two safe integers may
 * be rounded, but never to the other side of a limit that is itself a safe integer.
 */
function refusalOf(state: WalletState, signedMinor: number, currency: string): MovementRefusal | undefined {
  if (state.id === '') return 'wallet_not_found';
  if (state.currency !== currency) return 'currency_mismatch';
  const balance = state.balanceMinor + signedMinor;
  if (signedMinor < 0 && balance < -state.overdraftLimitMinor) return 'insufficient_funds';
  return balance > MAX_AMOUNT_MINOR ? 'balance_too_large' : undefined;
}

function refusalMessage(refusal: MovementRefusal, state: WalletState, currency: string): string {
  switch (refusal) {
    case 'wallet_not_found':
      return 'there is no such wallet';
    case 'currency_mismatch':
      return `the wallet is in ${state.currency}, not in ${currency}`;
    case 'insufficient_funds':
      return `${formatAmount(BigInt(state.balanceMinor) + BigInt(state.overdraftLimitMinor), currency)} ${currency} can be spent`;
    case 'balance_too_large':
      return `the balance cannot pass ${formatAmount(MAX_AMOUNT_MINOR, currency)} ${currency}`;
  }
}

function movement(state: WalletState, signedMinor: number, effectiveAt: number) {
  const { currency, balanceMinor } = state;
  const amountMinor = Math.abs(signedMinor);
  const newBalanceMinor = balanceMinor + signedMinor;
  return {
    wallet_id: state.id,
    user_id: state.userId,
    amount: toMajor(amountMinor, currency),
    amount_minor: amountMinor,
    currency,
    status: 'APPROVED' as const,
    previous_balance: toMajor(balanceMinor, currency),
    previous_balance_minor: balanceMinor,
    new_balance: toMajor(newBalanceMinor, currency),
    new_balance_minor: newBalanceMinor,
    effective_at: toTimestamp(effectiveAt),
  };
}

function refused(command: PaymentRequest, state: WalletState, reason: MovementRefusal) {
  const balance = toMajor(state.balanceMinor, state.id === '' ? command.currency : state.currency);
  return {
    wallet_id: command.walletId,
    user_id: command.userId,
    amount: toMajor(command.amountMinor, command.currency),
    amount_minor: command.amountMinor,
    currency: command.currency,
    status: 'DECLINED' as const,
    reason,
    previous_balance: balance,
    previous_balance_minor: state.balanceMinor,
    new_balance: balance,
    new_balance_minor: state.balanceMinor,
  };
}

function evolve(state: WalletState, event: WalletEvent): WalletState {
  switch (event.type) {
    case 'wallet.opened': {
      const { wallet_id, user_id, currency, overdraft_limit_minor } = event.data;
      return { ...NO_WALLET, id: wallet_id, userId: user_id, currency, overdraftLimitMinor: overdraft_limit_minor };
    }
    case 'wallet.debited':
      return moved(state, -event.data.amount_minor, event.data);
    case 'wallet.credited':
      return moved(state, event.data.amount_minor, event.data);
    default:
      return state;
  }
}

function moved(
  state: WalletState,
  signedMinor: number,
  data: { readonly new_balance_minor: number; readonly effective_at: string },
): WalletState {
  const balanceMinor = data.new_balance_minor;
  invariant(balanceMinor === state.balanceMinor + signedMinor, 'each movement starts from the balance before it');
  invariant(Number.isSafeInteger(balanceMinor), 'a balance is a safe integer');
  invariant(signedMinor > 0 || balanceMinor >= -state.overdraftLimitMinor, 'no debit goes below the overdraft limit');
  const effectiveAt = fromTimestamp(data.effective_at);
  return {
    ...state,
    balanceMinor,
    lastEffectiveAt: Math.max(effectiveAt, state.lastEffectiveAt),
    backdated: state.backdated || effectiveAt < state.lastEffectiveAt,
  };
}
