import type { Scheduler } from '#kernel/core/clock.ts';
import { toError } from '#kernel/core/errors.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import type { Log } from '#kernel/observability/log.ts';
import type { Executor } from '#kernel/processor/execute.ts';
import { type BreakerMetrics, type CircuitBreaker, createCircuitBreaker } from '#kernel/resilience/circuit-breaker.ts';
import { attempt, type CallReport, isFailedCall, mayHaveMoved } from './attempt.ts';
import { CHARGE, GATEWAY_REFUND } from './contract.ts';
import type { OperationCommand } from './decider.ts';
import { isRepeated, isRequest, type OperationRow, requestedRow } from './projections.ts';
import type { GatewayProvider } from './provider.ts';
import type { ClaimedOperation, WorkList } from './queries.ts';
import type { GatewaySettings } from './settings.ts';

export interface GatewayWorkerPorts {
  readonly executor: Executor;
  readonly workList: WorkList;
  /** The gateway that this worker speaks to; work of others is left to theirs. */
  readonly provider: GatewayProvider;
  readonly clock: Scheduler;
  /** From 0 up to 1. */
  readonly random: () => number;
  readonly log: Log;
  /** Told of each call to a gateway. */
  readonly onCall: (report: CallReport) => void;
}

/** What the worker has in hand, for metrics and health. */
export interface GatewayWorkerStatus {
  readonly inFlight: number;
  readonly queued: number;
  readonly breaker: BreakerMetrics;
}

export interface GatewayWorker {
  /** Takes up what an earlier run left, and looks for due operations from now on. */
  start(): void;
  /** Tells the worker what a batch of the service consumed and appended, once it is committed. */
  onCommitted(events: readonly RecordedEvent[]): void;
  status(): GatewayWorkerStatus;
  /** Takes nothing new, waits for calls under way, and lets go of the rest: a look-up finds it again. */
  stop(): Promise<void>;
}

interface Task {
  readonly operation: ClaimedOperation;
  leaseUntil: number;
  /** Every earlier call that may have been on its way was waited for. */
  settled: boolean;
}

/**
 * The part of the service that waits for the outside.
 *
 * Fresh requests are called from memory as soon as they are durable. All else comes from the work list: what is due
 * again, and what a process that died had in hand, once its lease is over. What a call brings is recorded through the
 * executor; when that fails, it is looked up later, as if the process had died.
 */
export function createGatewayWorker(settings: GatewaySettings, ports: GatewayWorkerPorts): GatewayWorker {
  const { executor, workList, provider, clock, random, log, onCall } = ports;
  const breaker = createBreaker(provider.name, settings, clock);
  const attemptPorts = { provider, breaker, settings, now: () => clock.now(), random, onCall };
  const inHand = new Map<string, Task>();
  const queue: Task[] = [];
  /** Those that wait for a call that may be on its way, and how to end the wait. */
  const settling = new Map<Task, () => void>();
  let inFlight = 0;
  let cancelSweep: () => void = () => undefined;
  let sweeping: Promise<void> = Promise.resolve();
  let stopping = false;
  let reachable = true;
  let drained: (() => void) | undefined;

  function onCommitted(events: readonly RecordedEvent[]): void {
    for (const event of events) {
      // A repeated request is due in the work list: it is looked up before anything is sent.
      if (isRequest(event) && !isRepeated(event)) take({ ...requestedRow(event, settings), abandoned: false });
    }
  }

  function take(operation: ClaimedOperation): void {
    const key = keyOf(operation);
    if (stopping || inHand.has(key) || waiting() >= settings.maxQueued) return;
    const task = { operation, leaseUntil: operation.next_attempt_at ?? 0, settled: false };
    inHand.set(key, task);
    queue.push(task);
    startNext();
  }

  function startNext(): void {
    while (inFlight < settings.maxInFlight) {
      const task = queue.shift();
      if (task === undefined) return;
      inFlight += 1;
      void run(task).finally(() => {
        inFlight -= 1;
        startNext();
        if (inFlight === 0) drained?.();
      });
    }
  }

  async function run(task: Task): Promise<void> {
    const { operation } = task;
    const { id, kind, trace_id, payment_id } = operation;
    try {
      const isLeased = (): boolean => clock.now() < task.leaseUntil;
      const command = await attempt(operation, task.settled, { ...attemptPorts, isLeased });
      if (command === 'settle') settle(task);
      else if (command !== undefined) await record(task, command);
    } catch (cause) {
      const fields = { trace_id, payment_id, kind, id, error: toError(cause) };
      log.warn(fields, 'what the gateway said could not be recorded; it is looked up later');
    } finally {
      if (!settling.has(task)) inHand.delete(keyOf(operation));
    }
  }

  /** Of a call that nobody recorded it is not even known that it has ended: its process may live, and have lost its lease. */
  function settle(task: Task): void {
    if (stopping) return;
    const again = (): void => {
      settling.delete(task);
      task.settled = true;
      queue.push(task);
      startNext();
    };
    settling.set(task, clock.after(settings.callTimeoutMs + settings.settleMs, again));
  }

  async function record({ operation }: Task, command: OperationCommand): Promise<void> {
    const { id, kind, trace_id, payment_id } = operation;
    if (command.type === 'RecordUnknown' && command.reason === 'answer_mismatch') {
      log.error(
        { trace_id, payment_id, kind, id },
        'the gateway answers for another amount, currency or key than was asked for',
      );
    }
    // The first attempt begins the stream, unless a webhook was faster: that is a conflict, and is decided again.
    const fresh = !mayHaveMoved(operation) && operation.attempts === 0;
    await executor.execute({
      commands: [{ aggregate: kind === 'charge' ? CHARGE : GATEWAY_REFUND, id, command, fresh }],
      traceId: trace_id,
      correlationId: payment_id,
      answer: () => null,
    });
  }

  /** @returns whether there may be more to take */
  async function sweep(): Promise<boolean> {
    try {
      await extendLeases();
      const limit = capacity();
      const claimed = limit > 0 ? await claim(limit) : [];
      for (const operation of claimed) take(operation);
      reachable = true;
      return claimed.length === limit;
    } catch (cause) {
      if (reachable) log.warn({ error: toError(cause) }, 'due charges and refunds cannot be read; trying again');
      reachable = false;
      return false;
    }
  }

  function waiting(): number {
    return queue.length + settling.size;
  }

  function capacity(): number {
    const free = Math.min(settings.maxInFlight - inFlight, settings.maxQueued - waiting());
    const onlyProbe = breaker.allows() && breaker.metrics().state !== 'closed';
    return onlyProbe ? Math.min(free, 1) : free;
  }

  /** While the circuit is open, nothing is claimed but what can be given up without a call. */
  function claim(limit: number): Promise<readonly ClaimedOperation[]> {
    const now = clock.now();
    const options = { gateway: provider.name, now, limit, leaseUntil: now + settings.leaseMs };
    if (breaker.allows()) return workList.claimDue(options);
    return workList.claimDue({ ...options, onlyGivenUpBefore: now - settings.giveUpAfterMs });
  }

  async function extendLeases(): Promise<void> {
    const now = clock.now();
    const ending = [...inHand.values()].filter(({ leaseUntil }) => leaseUntil - now < settings.leaseMs / 2);
    if (ending.length === 0) return;
    const leaseUntil = now + settings.leaseMs;
    await workList.extendLeases(
      ending.map(({ operation }) => operation),
      now,
      leaseUntil,
    );
    for (const task of ending) task.leaseUntil = leaseUntil;
  }

  function scheduleSweep(afterMs: number): void {
    cancelSweep = clock.after(afterMs, () => {
      sweeping = sweep().then((more) => {
        if (!stopping) scheduleSweep(more ? settings.busySweepMs : settings.sweepMs);
      });
    });
  }

  async function stop(): Promise<void> {
    stopping = true;
    cancelSweep();
    await sweeping;
    for (const cancel of settling.values()) cancel();
    settling.clear();
    queue.length = 0;
    inHand.clear();
    await idle();
    provider.close();
    await idle();
  }

  /** Resolves when nothing is under way, and at the latest when a stop no longer waits. */
  function idle(): Promise<void> {
    if (inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = clock.after(settings.drainMs, resolve);
      drained = () => {
        cancel();
        resolve();
      };
    });
  }

  return {
    start: () => scheduleSweep(0),
    onCommitted,
    status: () => ({ inFlight, queued: waiting(), breaker: breaker.metrics() }),
    stop,
  };
}

function createBreaker(name: string, settings: GatewaySettings, clock: Scheduler): CircuitBreaker {
  return createCircuitBreaker({
    name,
    failures: settings.breakerFailures,
    halfOpenAfterMs: settings.breakerHalfOpenAfterMs,
    timeoutMs: settings.callTimeoutMs,
    isFailure: isFailedCall,
    clock,
  });
}

function keyOf({ kind, id }: OperationRow): string {
  return `${kind}/${id}`;
}
