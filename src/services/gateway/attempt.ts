import { CallTimeoutError, type CircuitBreaker, CircuitOpenError } from '#kernel/resilience/circuit-breaker.ts';
import { retryDelayMs } from '#kernel/resilience/retry-delay.ts';
import type { Answer, OperationCommand, RecordFailure } from './decider.ts';
import type { OperationRow } from './projections.ts';
import type { CallFailure, CallOutcome, GatewayProvider, LookUpOutcome } from './provider.ts';
import type { ClaimedOperation } from './queries.ts';
import type { GatewaySettings } from './settings.ts';

/** `charge` and `refund` may move money, `look_up` never does. */
export type CallKind = 'charge' | 'refund' | 'look_up';

/** One call to a gateway, for metrics. `rejected`: not made, the circuit is open. */
export interface CallReport {
  readonly gateway: string;
  readonly call: CallKind;
  readonly outcome: CallOutcome['outcome'] | LookUpOutcome['outcome'] | 'rejected';
  readonly ms: number;
}

export interface AttemptPorts {
  readonly provider: GatewayProvider;
  readonly breaker: CircuitBreaker;
  readonly settings: GatewaySettings;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly onCall: (report: CallReport) => void;
  /** Whether others still leave the operation alone: whoever has lost it must not move money any more. */
  readonly isLeased: () => boolean;
}

type Rejected = { readonly outcome: 'rejected' };

/**
 * One attempt to bring a charge or a refund to its end. Unless it is certain that nothing was sent before, the gateway is
 * first asked what it knows of the idempotency key; only what it does not know is sent (again), with the same key.
 * @param settled whether every earlier call that may have been on its way was waited for
 * @returns what is to be recorded; undefined: the attempt was not made, and is due again when its lease is over; `settle`:
 *   the gateway knows nothing, but a call may still be on its way to it: it is to be waited for and looked up once more
 */
export async function attempt(
  operation: ClaimedOperation,
  settled: boolean,
  ports: AttemptPorts,
): Promise<OperationCommand | 'settle' | undefined> {
  if (mayHaveMoved(operation)) {
    const found = await lookUp(operation, ports);
    if (found.outcome === 'rejected') return undefined;
    if (found.outcome === 'answered') return recordAnswer(operation, found.answer, ports);
    if (found.outcome !== 'not_found') return recordFailure('RecordUnknown', found.reason, false, operation, ports);
  }
  if (mayCall(operation, ports)) return ports.isLeased() ? send(operation, ports) : undefined;
  if (mayHaveMoved(operation) && !settled) return 'settle';
  return { ...recordFailure('RecordNotTaken', lastReason(operation), false, operation, ports), settled };
}

/** Whether an earlier call may have moved money. */
export function mayHaveMoved({ abandoned, state }: ClaimedOperation): boolean {
  return abandoned || state === 'pending' || state === 'unknown';
}

async function send(operation: ClaimedOperation, ports: AttemptPorts): Promise<OperationCommand> {
  const { provider } = ports;
  if (operation.kind === 'charge' && operation.payment_token === null && provider.requiresToken) {
    return { type: 'RecordRefusal', operation, reason: 'token_required' };
  }
  const sent = await guarded<CallOutcome>(operation.kind, ports, (signal) =>
    provider[operation.kind](operation, signal),
  );
  switch (sent.outcome) {
    case 'answered':
      return recordAnswer(operation, sent.answer, ports);
    case 'refused':
      return { type: 'RecordRefusal', operation, reason: sent.reason };
    case 'rejected':
      return recordFailure('RecordNotTaken', 'gateway_unavailable', false, operation, ports);
    case 'not_sent':
      return recordFailure('RecordNotTaken', sent.reason, false, operation, ports);
    case 'error':
      return afterError(operation, sent.reason, ports);
    case 'unknown':
      return recordFailure('RecordUnknown', sent.reason, true, operation, ports);
  }
}

/** The gateway has answered, so nothing of the call is under way any more, and a look-up is the last word on it. */
async function afterError(operation: ClaimedOperation, reason: string, ports: AttemptPorts): Promise<OperationCommand> {
  const found = await lookUp(operation, ports);
  if (found.outcome === 'answered') return recordAnswer(operation, found.answer, ports);
  return recordFailure(
    found.outcome === 'not_found' ? 'RecordNotTaken' : 'RecordUnknown',
    reason,
    true,
    operation,
    ports,
  );
}

function lookUp(operation: OperationRow, ports: AttemptPorts): Promise<LookUpOutcome | Rejected> {
  return guarded<LookUpOutcome>('look_up', ports, (signal) => ports.provider.lookUp(operation, signal));
}

/** Makes a call through the circuit breaker, with its time limit. */
async function guarded<Outcome extends CallOutcome | LookUpOutcome>(
  call: CallKind,
  ports: AttemptPorts,
  make: (signal: AbortSignal) => Promise<Outcome>,
): Promise<Outcome | CallFailure | Rejected> {
  const started = performance.now();
  const report = <T extends Outcome | CallFailure | Rejected>(result: T): T => {
    ports.onCall({ gateway: ports.provider.name, call, outcome: result.outcome, ms: performance.now() - started });
    return result;
  };
  try {
    return report(await ports.breaker.execute(make));
  } catch (cause) {
    if (cause instanceof CircuitOpenError) return report({ outcome: 'rejected' });
    if (cause instanceof CallTimeoutError) return report({ outcome: 'unknown', reason: 'timeout' });
    throw cause;
  }
}

/** What counts as a failed call for the circuit breaker: a gateway that says no is in good health. */
export function isFailedCall(value: unknown): boolean {
  const { outcome } = value as CallOutcome | LookUpOutcome;
  return outcome === 'not_sent' || outcome === 'error' || outcome === 'unknown';
}

function mayCall({ calls, abandoned, requested_at }: ClaimedOperation, { settings, now }: AttemptPorts): boolean {
  return calls + (abandoned ? 1 : 0) < settings.maxCalls && now() - requested_at < settings.giveUpAfterMs;
}

function lastReason({ state, reason }: OperationRow): string {
  return state === 'unknown' ? 'gateway_timeout' : (reason ?? 'gateway_unavailable');
}

/** An answer for something else than what was asked is not believed, whoever gives it. */
export function isAbout(answer: Answer, { idempotency_key, amount_minor, currency }: OperationRow): boolean {
  return (
    answer.idempotency_key === idempotency_key && answer.amount_minor === amount_minor && answer.currency === currency
  );
}

function recordAnswer(operation: ClaimedOperation, answer: Answer, ports: AttemptPorts): OperationCommand {
  if (!isAbout(answer, operation)) return recordFailure('RecordUnknown', 'answer_mismatch', false, operation, ports);
  if (answer.status !== 'pending') return { type: 'RecordAnswer', operation, answer };
  const { settings, now, random } = ports;
  const nextAttemptAt = now() + retryDelayMs(settings.pendingRetry, operation.attempts + 1, random());
  return { type: 'RecordAnswer', operation, answer, nextAttemptAt };
}

function recordFailure(
  type: RecordFailure['type'],
  reason: string,
  called: boolean,
  operation: ClaimedOperation,
  { settings, now, random }: AttemptPorts,
): RecordFailure {
  // Counted from 0: the first repetition comes at once.
  const nextAttemptAt = now() + retryDelayMs(settings.retry, operation.attempts, random());
  return { type, operation, reason, called, abandoned: operation.abandoned, settled: false, nextAttemptAt };
}
