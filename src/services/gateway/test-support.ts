import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NewEvent } from '#kernel/core/decider.ts';
import { ConflictError, RequestError } from '#kernel/core/errors.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { toMajor } from '#kernel/core/money.ts';
import type { RowProjection } from '#kernel/core/projection.ts';
import { toTimestamp } from '#kernel/core/timestamp.ts';
import type { AnswerKey, CommandResult, ExecuteRequest, Executor } from '#kernel/processor/execute.ts';
import { gatewayService } from './index.ts';
import type { OperationRow } from './projections.ts';
import type { BelievedCharge, ClaimOptions, OperationRef, WorkList } from './queries.ts';
import { DEFAULT_GATEWAY_SETTINGS, type GatewaySettings } from './settings.ts';

/** What tests of the gateway service share: the service in memory, driven as its processor drives it. */

const CURRENCY = 'USD';
const DEADLINE_MS = 20_000;

/** What has to pass in a test takes milliseconds; what must not, such as a time-out, takes longer than any test. */
export const QUICK: GatewaySettings = {
  ...DEFAULT_GATEWAY_SETTINGS,
  retry: { initialMs: 10, multiplier: 2, maxMs: 100, jitter: 0 },
  pendingRetry: { initialMs: 60_000, multiplier: 2, maxMs: 60_000, jitter: 0 },
  settleMs: 100,
  leaseMs: 1_000,
  sweepMs: 5,
  busySweepMs: 1,
  callTimeoutMs: 30_000,
  breakerFailures: 1_000,
  breakerHalfOpenAfterMs: 50,
  drainMs: 30_000,
};

export interface TestPlatform {
  readonly executor: Executor;
  readonly workList: WorkList;
  /** Everything that was recorded, in order. */
  readonly events: RecordedEvent[];
  readonly rows: ReadonlyMap<string, OperationRow>;
  /** Consumes a request for a charge, as the processor would, and tells what was committed. */
  charge(request?: ChargeOptions): RecordedEvent;
  refund(paymentId: string, amountMinor: number): RecordedEvent;
  /** Statuses and reasons of the answers to a charge or refund, such as `SUCCESS success`. */
  answers(id: string): readonly string[];
  believed(): readonly BelievedCharge[];
  /** Told of consumed and appended events, once they are durable. */
  onCommitted: (events: readonly RecordedEvent[]) => void;
  /** While set, nothing can be recorded. */
  broken: Error | undefined;
}

export interface ChargeOptions {
  readonly id?: string;
  readonly token?: string | undefined;
  readonly amountMinor?: number;
  readonly attempt?: number;
  readonly requestedAt?: number;
}

export function createTestPlatform(settings: GatewaySettings = QUICK): TestPlatform {
  const service = gatewayService(settings);
  const projection = service.inline[0] as RowProjection<OperationRow>;
  const rows = new Map<string, OperationRow>();
  const streams = new Map<string, RecordedEvent[]>();
  const stored = new Map<string, unknown>();
  const events: RecordedEvent[] = [];

  function fold(event: RecordedEvent): void {
    const key = projection.key(event)?.join('/');
    if (key !== undefined) rows.set(key, projection.evolve(rows.get(key), event));
  }

  function consume(type: string, data: { payment_id: string; requested_at: string }): RecordedEvent {
    const event = recorded(type, data, 'payment', data.payment_id, 2, Date.parse(data.requested_at));
    fold(event);
    const results = (service.reactions[type]?.(event) ?? []).map(run);
    platform.onCommitted([event, ...eventsOf(results)]);
    return event;
  }

  function run(command: ExecuteRequest<unknown>['commands'][number]): CommandResult {
    const decider = service.deciders.find(({ aggregate }) => aggregate === command.aggregate);
    if (decider === undefined) throw new Error(`no decider for ${command.aggregate}`);
    const name = `${command.aggregate}/${command.id}`;
    const before = streams.get(name) ?? [];
    const state = before.reduce((folded, event) => decider.evolve(folded, event), decider.initial);
    const now = Date.now();
    const decided = decider.decide(command.command, state, { now });
    if (!decided.ok) return decided;
    const added = decided.value.map(({ type, data }: NewEvent, index: number) => {
      const problem = service.produces.find((definition) => definition.type === type)?.problem(data) ?? undefined;
      if (problem !== undefined) throw new ConflictError(`${type}: ${problem}`);
      return recorded(type, data, command.aggregate, command.id, before.length + index + 1, now);
    });
    streams.set(name, [...before, ...added]);
    events.push(...added);
    added.forEach(fold);
    return { ok: true, value: { state: added.reduce((s, event) => decider.evolve(s, event), state), events: added } };
  }

  async function execute<Answer>(request: ExecuteRequest<Answer>) {
    await sleep(0);
    if (platform.broken !== undefined) throw platform.broken;
    const found = (request.keys ?? []).map(nameOf).find((key) => stored.has(key));
    if (found !== undefined) return { answer: stored.get(found) as Answer, replayed: true };
    const results = request.commands.map(run);
    const answer = request.answer(results);
    for (const key of request.keys ?? []) stored.set(nameOf(key), answer);
    platform.onCommitted(eventsOf(results));
    return { answer, replayed: false };
  }

  const load = () => Promise.reject(new RequestError('internal_error', 'the gateway loads no states'));
  const platform: TestPlatform = {
    executor: { execute, load },
    workList: createMemoryWorkList(rows),
    events,
    rows,
    charge: (options = {}) => consume('gateway.charge.requested', chargeRequest(options)),
    refund: (paymentId, amountMinor) => consume('gateway.refund.requested', refundRequest(paymentId, amountMinor)),
    answers: (id) =>
      events
        .filter(({ type, data }) => type.endsWith('.answered') && (data.refund_id ?? data.payment_id) === id)
        .map(({ data }) => `${data.status} ${data.reason}`),
    believed: () => believedOf([...rows.values()]),
    onCommitted: () => undefined,
    broken: undefined,
  };
  return platform;
}

function eventsOf(results: readonly CommandResult[]): readonly RecordedEvent[] {
  return results.flatMap((result) => (result.ok ? result.value.events : []));
}

function nameOf({ scope, key }: AnswerKey): string {
  return `${scope} ${key}`;
}

function recorded(
  type: string,
  data: object,
  aggregateType: string,
  aggregateId: string,
  streamPosition: number,
  time: number,
): RecordedEvent {
  const metadata = { correlationid: aggregateId, traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` };
  return {
    id: randomUUID(),
    type,
    version: 1,
    aggregateType,
    aggregateId,
    streamPosition,
    chain: 1,
    chainPosition: 1,
    time,
    data,
    metadata,
  };
}

function money(amountMinor: number) {
  return { amount: toMajor(amountMinor, CURRENCY), amount_minor: amountMinor, currency: CURRENCY };
}

function chargeRequest({
  id = randomUUID(),
  token,
  amountMinor = 10_050,
  attempt,
  requestedAt = Date.now(),
}: ChargeOptions) {
  return {
    payment_id: id,
    ...money(amountMinor),
    ...(token !== undefined && { payment_token: token }),
    ...(attempt !== undefined && { attempt }),
    idempotency_key: `charge-${id}`,
    trace_id: 'a'.repeat(32),
    requested_at: toTimestamp(requestedAt),
  };
}

function refundRequest(paymentId: string, amountMinor: number) {
  const refund_id = randomUUID();
  return {
    payment_id: paymentId,
    refund_id,
    ...money(amountMinor),
    idempotency_key: `refund-${refund_id}`,
    trace_id: 'a'.repeat(32),
    requested_at: toTimestamp(Date.now()),
  };
}

/** The work list over rows in memory; tests of `queries.ts` hold the real one to the same. */
function createMemoryWorkList(rows: Map<string, OperationRow>): WorkList {
  const keyOf = ({ id, kind }: OperationRef) => `${id}/${kind}`;
  const claimedAttempts = new Map<string, number>();
  const isAbandoned = (row: OperationRow) => (claimedAttempts.get(keyOf(row)) ?? 0) === row.attempts;
  return {
    claimDue: async ({ gateway, now, limit, leaseUntil, onlyGivenUpBefore }: ClaimOptions) => {
      await sleep(0);
      const due = [...rows.values()]
        .filter((row) => row.gateway === gateway && row.next_attempt_at !== null && row.next_attempt_at <= now)
        .filter(
          (row) =>
            onlyGivenUpBefore === undefined ||
            (row.state === 'not_taken' && !isAbandoned(row) && row.requested_at <= onlyGivenUpBefore),
        )
        .sort((a, b) => Number(a.next_attempt_at) - Number(b.next_attempt_at))
        .slice(0, limit);
      return due.map((row) => {
        const claimed = { ...row, next_attempt_at: leaseUntil };
        const abandoned = isAbandoned(row);
        rows.set(keyOf(row), claimed);
        claimedAttempts.set(keyOf(row), row.attempts);
        return { ...claimed, abandoned };
      });
    },
    extendLeases: async (operations, now, leaseUntil) => {
      for (const ref of operations) {
        const row = rows.get(keyOf(ref));
        const leased = row !== undefined && row.next_attempt_at !== null && row.next_attempt_at > now;
        if (leased) rows.set(keyOf(ref), { ...row, next_attempt_at: leaseUntil });
      }
    },
    find: async (ref) => rows.get(keyOf(ref)),
  };
}

function believedOf(rows: readonly OperationRow[]): readonly BelievedCharge[] {
  const success = (row: OperationRow) => (row.status === 'SUCCESS' ? row.amount_minor : 0);
  return rows
    .filter(({ kind }) => kind === 'charge')
    .map((charge) => {
      const refunds = rows.filter(({ kind, payment_id }) => kind === 'refund' && payment_id === charge.id);
      return {
        payment_id: charge.id,
        currency: charge.currency,
        taken_minor: success(charge),
        refunded_minor: refunds.reduce((sum, refund) => sum + success(refund), 0),
        open: [charge, ...refunds].some(({ state }) => state !== 'answered'),
      };
    });
}

/** Waits until it is so. @throws Error that says what did not come about */
export async function eventually(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + DEADLINE_MS;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`it did not come about that ${what}`);
    await sleep(5);
  }
}
