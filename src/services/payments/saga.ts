import type { EventOf } from '#kernel/core/event.ts';
import { fromTimestamp } from '#kernel/core/timestamp.ts';
import type { SagaState, sagaAdvanced } from './contract.ts';
import { deadlineOf, type PaymentEvent, type PaymentSettings } from './payment.decider.ts';

/** Where a payment's saga stands, as operators see it. Times in milliseconds since 1970. */
export interface SagaProgress {
  readonly state: SagaState;
  /** How often the step was tried, 1 for the first time. */
  readonly attempt: number;
  /** When the step must have been answered; null once the saga is over. */
  readonly deadlineAt: number | null;
  /** Why the step takes longer than it should, a stable code; null while all goes well. */
  readonly stuckReason: string | null;
  /** The outcome of the charge is unknown: when the gateway is asked again. */
  readonly nextAttemptAt: number | null;
}

export const NO_PROGRESS: SagaProgress = {
  state: 'INITIALIZED',
  attempt: 1,
  deadlineAt: null,
  stuckReason: null,
  nextAttemptAt: null,
};

/** The reason of the step from SENDING_TO_GATEWAY to AWAITING_RESPONSE: the only advance that is no trouble. */
export const CHARGE_SENT = 'charge_sent';

/**
 * The saga's progress after an event of the payment's stream; the same object when the event does not concern it.
 * The decider and the read model both fold with it, so that they cannot tell different stories.
 */
export function evolveProgress(before: SagaProgress, event: PaymentEvent, settings: PaymentSettings): SagaProgress {
  switch (event.type) {
    case 'payments.created':
      return waiting('CHECKING_FRAUD', 1, event.data.created_at, settings.fraudDeadlineMs, settings);
    case 'wallet.debit.requested': {
      const { attempt = 1, requested_at } = event.data;
      const progress = waiting('DEBITING', attempt, requested_at, settings.debitDeadlineMs, settings);
      return attempt === 1 ? progress : { ...progress, stuckReason: 'debit_not_answered' };
    }
    case 'gateway.charge.requested':
      return charging(before, event.data, settings);
    case 'wallet.credit.requested':
      return compensating(before, event.data, settings.debitDeadlineMs, settings);
    case 'gateway.refund.requested':
      return compensating(before, event.data, settings.gatewayDeadlineMs, settings);
    case 'payments.saga.advanced':
      return advanced(event.data, settings);
    case 'payments.approved':
      return { ...NO_PROGRESS, state: 'COMPLETED' };
    case 'payments.declined':
    case 'payments.failed':
      return { ...NO_PROGRESS, state: 'FAILED' };
    default:
      return before;
  }
}

function waiting(
  state: SagaState,
  attempt: number,
  since: string,
  firstWaitMs: number,
  settings: PaymentSettings,
): SagaProgress {
  const deadlineAt = deadlineOf(fromTimestamp(since), firstWaitMs, attempt, settings);
  return { state, attempt, deadlineAt, stuckReason: null, nextAttemptAt: null };
}

interface Request {
  readonly reason?: string;
  readonly attempt?: number;
  readonly requested_at: string;
}

/** A charge that is asked for again keeps its state: what is known of it stays known. */
function charging(before: SagaProgress, data: Request, settings: PaymentSettings): SagaProgress {
  const { attempt = 1, requested_at } = data;
  if (attempt === 1) return waiting('SENDING_TO_GATEWAY', 1, requested_at, settings.gatewayDeadlineMs, settings);
  const again = waiting(before.state, attempt, requested_at, settings.gatewayDeadlineMs, settings);
  return { ...again, stuckReason: before.stuckReason ?? 'charge_not_answered', nextAttemptAt: before.nextAttemptAt };
}

/** A compensation that was declined stays stuck for that reason, though it is asked for under a new id. */
function compensating(
  before: SagaProgress,
  data: Request,
  firstWaitMs: number,
  settings: PaymentSettings,
): SagaProgress {
  const { reason, attempt = 1, requested_at } = data;
  if (reason !== 'compensation') return before;
  const stuckReason = before.stuckReason ?? (attempt > 1 ? 'compensation_not_answered' : null);
  return { ...waiting('COMPENSATING', attempt, requested_at, firstWaitMs, settings), stuckReason };
}

function advanced(data: EventOf<typeof sagaAdvanced>['data'], settings: PaymentSettings): SagaProgress {
  const { state, attempt, reason, next_attempt_at } = data;
  if (state === 'COMPENSATED') return { ...NO_PROGRESS, state };
  const firstWaitMs = state === 'CHECKING_FRAUD' ? settings.fraudDeadlineMs : settings.gatewayDeadlineMs;
  const nextAttemptAt = next_attempt_at === undefined ? null : fromTimestamp(next_attempt_at);
  const from = Math.max(fromTimestamp(data.at), nextAttemptAt ?? 0);
  const deadlineAt = deadlineOf(from, firstWaitMs, attempt, settings);
  return { state, attempt, deadlineAt, stuckReason: reason === CHARGE_SENT ? null : reason, nextAttemptAt };
}

/** The process that carries a payment to its end. Times in milliseconds since 1970. */
export interface Saga extends SagaProgress {
  /** When the first attempt of the step was made. */
  readonly firstRequestedAt: number;
  readonly compensation: Compensation | null;
}

/** How money is given back that came too late. Each id is declined at most once and credited at most once. */
export interface Compensation {
  readonly refundId: string;
  /** 1 for the first id. */
  readonly round: number;
  /** False once this id was declined: the next request takes a new one. */
  readonly open: boolean;
}

export const NO_SAGA: Saga = { ...NO_PROGRESS, firstRequestedAt: 0, compensation: null };

/** The saga after an event of the payment's stream. */
export function evolveSaga(saga: Saga, event: PaymentEvent, settings: PaymentSettings): Saga {
  const progress = evolveProgress(saga, event, settings);
  if (progress === saga) return saga;
  const { firstRequestedAt, compensation } = saga;
  switch (event.type) {
    case 'wallet.debit.requested':
      return { ...progress, firstRequestedAt: firstRequestOf(event.data), compensation };
    case 'wallet.credit.requested':
      return {
        ...progress,
        firstRequestedAt: firstRequestOf(event.data),
        compensation: asked(compensation, event.data.refund_id),
      };
    case 'gateway.refund.requested':
      return { ...progress, firstRequestedAt, compensation: asked(compensation, event.data.refund_id) };
    case 'payments.saga.advanced':
      return { ...progress, firstRequestedAt, compensation: compensation && { ...compensation, open: false } };
    default:
      return { ...progress, firstRequestedAt, compensation };
  }
}

function firstRequestOf(data: { readonly requested_at: string; readonly first_requested_at?: string }): number {
  return fromTimestamp(data.first_requested_at ?? data.requested_at);
}

function asked(compensation: Compensation | null, refundId: string): Compensation {
  if (compensation?.refundId === refundId) return compensation;
  return { refundId, round: (compensation?.round ?? 0) + 1, open: true };
}
