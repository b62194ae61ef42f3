import type { Decider } from '#kernel/core/decider.ts';
import type { EventOf } from '#kernel/core/event.ts';
import { toMajor } from '#kernel/core/money.ts';
import { accept } from '#kernel/core/result.ts';
import { toTimestamp } from '#kernel/core/timestamp.ts';
import {
  type AnswerStatus,
  type AttemptOutcome,
  CHARGE,
  GATEWAY_REFUND,
  type gatewayAttemptRecorded,
  type gatewayChargeAnswered,
  type gatewayChargeSent,
  type gatewayRefundAnswered,
  type OperationKind,
} from './contract.ts';

/** What a gateway says of a charge or a refund. */
export interface Answer {
  readonly status: 'succeeded' | 'declined' | 'pending';
  /** A stable code; `success` when it succeeded. */
  readonly reason: string;
  /** The gateway's own id of it. */
  readonly gateway_payment_id: string;
  readonly transaction_id?: string;
  readonly idempotency_key: string;
  readonly amount_minor: number;
  readonly currency: string;
}

/** The charge or refund that a command is about, as it was asked for. */
export interface RequestedOperation {
  readonly kind: OperationKind;
  /** The payment's id for a charge, the refund's for a refund. */
  readonly id: string;
  readonly payment_id: string;
  readonly amount_minor: number;
  readonly currency: string;
  readonly trace_id: string;
  /** The provider's name. */
  readonly gateway: string;
  /** Milliseconds since 1970. */
  readonly requested_at: number;
}

/** The gateway says what became of it. */
export interface RecordAnswer {
  readonly type: 'RecordAnswer';
  readonly operation: RequestedOperation;
  readonly answer: Answer;
  /** When to look again at one that is pending, milliseconds since 1970; webhooks, which come by themselves, do not say. */
  readonly nextAttemptAt?: number;
}

/** It will never be carried out, and was not. */
export interface RecordRefusal {
  readonly type: 'RecordRefusal';
  readonly operation: RequestedOperation;
  readonly reason: string;
}

/** `RecordNotTaken`: it is certain that nothing was moved so far; `RecordUnknown`: nobody knows. */
export interface RecordFailure {
  readonly type: 'RecordNotTaken' | 'RecordUnknown';
  readonly operation: RequestedOperation;
  readonly reason: string;
  /** True when this attempt made a call that could move money and reached the gateway, or may have. */
  readonly called: boolean;
  /** True when an attempt before this one was never recorded: its call may have reached the gateway, or may be on its way. */
  readonly abandoned: boolean;
  /** True when a look-up found nothing after every call that may have been on its way was waited for. */
  readonly settled: boolean;
  /** Milliseconds since 1970. */
  readonly nextAttemptAt: number;
}

/** The payment, or an operator, asks for it once more. */
export interface AskAgain {
  readonly type: 'AskAgain';
  readonly operation: RequestedOperation;
}

export type OperationCommand = RecordAnswer | RecordRefusal | RecordFailure | AskAgain;

export type OperationEvent = EventOf<
  typeof gatewayChargeSent | typeof gatewayChargeAnswered | typeof gatewayRefundAnswered | typeof gatewayAttemptRecorded
>;

type FinalStatus = Exclude<AnswerStatus, 'TIMEOUT'>;

/** What is known of a charge or a refund. */
export interface OperationState {
  /** The gateway has it, or may have it. */
  readonly sent: boolean;
  /** TIMEOUT was answered: whether money was moved was unknown at some time. */
  readonly timedOut: boolean;
  /** The final answer; null while there is none. */
  readonly final: FinalStatus | null;
  /** Attempts that decided nothing. */
  readonly attempts: number;
  /** Calls that may have moved money. */
  readonly calls: number;
  /** The outcome of a call is unknown: it may still be on its way. */
  readonly unknownCall: boolean;
}

/** When repeating ends. */
export interface GiveUpPolicy {
  /** Calls that may have moved money, at most. */
  readonly maxCalls: number;
  /** No call is made so long after the request, milliseconds. */
  readonly giveUpAfterMs: number;
}

const INITIAL: OperationState = {
  sent: false,
  timedOut: false,
  final: null,
  attempts: 0,
  calls: 0,
  unknownCall: false,
};

/** Charges: one stream per payment, under its id. See `createDecider`. */
export function createChargeDecider(policy: GiveUpPolicy): Decider<OperationState, OperationCommand, OperationEvent> {
  return createDecider(CHARGE, policy);
}

/** Refunds at the gateway: one stream per refund, under its id. As charges, but being handed over is no event of its own. */
export function createRefundDecider(policy: GiveUpPolicy): Decider<OperationState, OperationCommand, OperationEvent> {
  return createDecider(GATEWAY_REFUND, policy);
}

/**
 *   open ── the gateway's answer ─→ sent, answered   exactly one final answer
 *        ── it will tell later ───→ sent
 *        ── nobody knows ─────────→ sent, TIMEOUT    once; a look-up decides
 *        ── nothing was moved ────→ (again later)    and after the last time FAILED, declined by the gateway
 *
 * What comes after the final answer changes nothing, with one exception: money was moved although the final answer had
 * said no (the last call was still on its way). That is told, once, so that the payment can give it back.
 */
function createDecider(
  aggregate: string,
  policy: GiveUpPolicy,
): Decider<OperationState, OperationCommand, OperationEvent> {
  return {
    aggregate,
    stateVersion: 2,
    initial: INITIAL,
    evolve,
    decide: (command, state, { now }) => accept(decide(command, state, now, policy)),
  };
}

function evolve(state: OperationState, event: OperationEvent): OperationState {
  switch (event.type) {
    case 'gateway.charge.sent':
      return { ...state, sent: true };
    case 'gateway.attempt.recorded': {
      const { outcome, attempt, calls } = event.data;
      const unknownCall = state.unknownCall || (outcome === 'unknown' && calls > state.calls);
      return { ...state, attempts: attempt, calls, unknownCall };
    }
    case 'gateway.charge.answered':
    case 'gateway.refund.answered': {
      const { status } = event.data;
      if (status !== 'TIMEOUT') return { ...state, final: status };
      return { ...state, timedOut: true, attempts: state.attempts + 1, calls: state.calls + 1, unknownCall: true };
    }
  }
}

function decide(
  command: OperationCommand,
  state: OperationState,
  now: number,
  policy: GiveUpPolicy,
): readonly OperationEvent[] {
  if (state.final !== null) return movedAfterAll(command, state) ? [finalAnswer(command, now)] : [];
  switch (command.type) {
    case 'RecordAnswer':
      return command.answer.status === 'pending' ? pending(command, state, now) : answered(command, state, now);
    case 'RecordRefusal':
      return [givenUp(command, now)];
    case 'RecordNotTaken':
      return notTaken(command, state, now, policy);
    case 'RecordUnknown':
      return unknown(command, state, now);
    case 'AskAgain': {
      const { attempts, calls } = state;
      const attempt = { outcome: 'asked_again', reason: 'asked_again', attempt: attempts, calls } as const;
      return [attemptRecorded(command.operation, attempt, now, now)];
    }
  }
}

function movedAfterAll(command: OperationCommand, state: OperationState): command is RecordAnswer {
  return command.type === 'RecordAnswer' && command.answer.status === 'succeeded' && state.final !== 'SUCCESS';
}

function pending(command: RecordAnswer, state: OperationState, now: number): readonly OperationEvent[] {
  const { operation, answer, nextAttemptAt } = command;
  const first = sentOnce(operation, state, answer.gateway_payment_id, now);
  if (first.length > 0 || nextAttemptAt === undefined) return first;
  const attempt = { outcome: 'pending', reason: 'pending', attempt: state.attempts + 1, calls: state.calls } as const;
  return [attemptRecorded(operation, attempt, nextAttemptAt, now)];
}

function answered(command: RecordAnswer, state: OperationState, now: number): readonly OperationEvent[] {
  const { operation, answer } = command;
  return [...sentOnce(operation, state, answer.gateway_payment_id, now), finalAnswer(command, now)];
}

/** Nothing was moved; but as long as an earlier call may still be on its way, that is not the last word. */
function notTaken(
  command: RecordFailure,
  state: OperationState,
  now: number,
  policy: GiveUpPolicy,
): readonly OperationEvent[] {
  const { operation, reason, nextAttemptAt } = command;
  const calls = callsAfter(state, command);
  const last = calls >= policy.maxCalls || now - operation.requested_at >= policy.giveUpAfterMs;
  const mayArrive = (state.unknownCall || command.abandoned) && !command.settled;
  if (last && !mayArrive) return [givenUp(command, now)];
  const outcome = mayArrive ? 'unknown' : 'not_taken';
  return [attemptRecorded(operation, { reason, attempt: state.attempts + 1, calls, outcome }, nextAttemptAt, now)];
}

function unknown(command: RecordFailure, state: OperationState, now: number): readonly OperationEvent[] {
  const { operation, reason, nextAttemptAt } = command;
  if (state.timedOut) {
    const calls = callsAfter(state, command);
    return [
      attemptRecorded(
        operation,
        { outcome: 'unknown', reason, attempt: state.attempts + 1, calls },
        nextAttemptAt,
        now,
      ),
    ];
  }
  const answer = { ...answerFields(operation, 'TIMEOUT', reason, now), next_attempt_at: toTimestamp(nextAttemptAt) };
  return [...sentOnce(operation, state, undefined, now), answeredEvent(operation, answer)];
}

function callsAfter(state: OperationState, { called, abandoned }: RecordFailure): number {
  return state.calls + (called ? 1 : 0) + (abandoned ? 1 : 0);
}

function sentOnce(
  operation: RequestedOperation,
  state: OperationState,
  gatewayPaymentId: string | undefined,
  now: number,
): readonly OperationEvent[] {
  if (state.sent || operation.kind === 'refund') return [];
  const { payment_id, gateway, trace_id } = operation;
  const gateway_payment_id = gatewayPaymentId === undefined ? {} : { gateway_payment_id: gatewayPaymentId };
  return [
    {
      type: 'gateway.charge.sent',
      data: { payment_id, gateway, ...gateway_payment_id, trace_id, sent_at: toTimestamp(now) },
    },
  ];
}

function finalAnswer({ operation, answer }: RecordAnswer, now: number): OperationEvent {
  const { reason, transaction_id } = answer;
  const fields = {
    ...answerFields(operation, statusOf(answer), reason, now),
    ...(transaction_id !== undefined && { transaction_id }),
  };
  return answeredEvent(operation, fields, 'issuer');
}

function givenUp({ operation, reason }: RecordFailure | RecordRefusal, now: number): OperationEvent {
  return answeredEvent(operation, answerFields(operation, 'FAILED', reason, now), 'gateway');
}

function statusOf(answer: Answer): FinalStatus {
  if (answer.status === 'succeeded') return 'SUCCESS';
  return answer.reason === 'insufficient_funds' ? 'INSUFFICIENT_FUNDS' : 'FAILED';
}

function answerFields(operation: RequestedOperation, status: AnswerStatus, reason: string, now: number) {
  const { payment_id, gateway, amount_minor, currency, trace_id } = operation;
  const amount = toMajor(amount_minor, currency);
  return {
    payment_id,
    gateway,
    status,
    reason,
    amount,
    amount_minor,
    currency,
    trace_id,
    responded_at: toTimestamp(now),
  };
}

type AnswerFields = Omit<EventOf<typeof gatewayChargeAnswered>['data'], 'declined_by'>;

function answeredEvent(
  operation: RequestedOperation,
  fields: AnswerFields,
  failedBy?: 'issuer' | 'gateway',
): OperationEvent {
  if (operation.kind === 'refund')
    return { type: 'gateway.refund.answered', data: { ...fields, refund_id: operation.id } };
  const declined_by = fields.status === 'FAILED' && failedBy !== undefined ? { declined_by: failedBy } : {};
  return { type: 'gateway.charge.answered', data: { ...fields, ...declined_by } };
}

interface Attempt {
  readonly outcome: AttemptOutcome;
  readonly reason: string;
  readonly attempt: number;
  readonly calls: number;
}

function attemptRecorded(
  operation: RequestedOperation,
  attempt: Attempt,
  nextAttemptAt: number,
  now: number,
): OperationEvent {
  const { id, kind, payment_id, gateway, trace_id } = operation;
  const refund_id = kind === 'refund' ? { refund_id: id } : {};
  const next_attempt_at = toTimestamp(nextAttemptAt);
  return {
    type: 'gateway.attempt.recorded',
    data: { payment_id, ...refund_id, gateway, ...attempt, next_attempt_at, trace_id, at: toTimestamp(now) },
  };
}
