import type { Consumer } from '../bus/consumer.ts';
import type { Place } from '../bus/topology.ts';
import { unreadableProblem } from '../bus/unreadable.ts';
import type { Clock } from '../core/clock.ts';
import { DataError, RequestError, toError } from '../core/errors.ts';
import { type EventDefinition, type RecordedEvent, traceIdOf } from '../core/event.ts';
import type { IdSource } from '../core/ids.ts';
import type {
  Commit,
  Committed,
  FailedMessage,
  FailureWrites,
  Progress,
  Store,
  StoredAnswer,
  StreamRef,
} from '../event-store/store.ts';
import { type BatchDecision, createBatchDecision } from './decide.ts';
import type { AnswerKey } from './execute.ts';
import { describeFailure, parkBehind, type RetryingMessage } from './failures.ts';
import type { InlineProjections } from './inline.ts';
import type { Failure, Item, MessageItem, RequestItem, Settlement } from './items.ts';
import { isAnsweredInBatch, type KnownRequests, lookBack, type Planned } from './look-back.ts';
import type { Retries } from './retries.ts';
import type { Reaction, ServiceDefinition } from './service.ts';
import { keyOf, type StateCache, type StreamState } from './states.ts';

/** A batch that is being committed, as the next one needs it, which is decided meanwhile on what it leads to. */
export interface BatchBefore {
  readonly prepared: PreparedBatch;
  /** Ends with the commit, whatever becomes of it. */
  readonly ended: Promise<unknown>;
}

/** What one batch needs of its processor. */
export interface BatchPorts {
  readonly service: ServiceDefinition;
  readonly definitions: ReadonlyMap<string, EventDefinition>;
  /** The definitions of everything on the bus, to check what is read from it. */
  readonly catalog: ReadonlyMap<string, EventDefinition>;
  readonly store: Store;
  readonly states: StateCache;
  readonly inline: InlineProjections;
  readonly retries: Retries;
  readonly consumer: Consumer;
  readonly clock: Clock;
  readonly ids: IdSource;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
  readonly snapshotEvery: number;
  readonly known: KnownRequests;
  /** Messages that the store refused when they stood alone, by event id: their failure is what remains to be noted. */
  readonly poisoned: Map<string, Error>;
}

/** A batch that is decided, and what to do once it is committed. */
export interface PreparedBatch {
  readonly commit: Commit;
  /** True when there is nothing to make durable. */
  readonly empty: boolean;
  readonly failures: readonly { readonly failed: FailedMessage; readonly error: Error }[];
  /** The messages that were handled. */
  readonly consumed: readonly RecordedEvent[];
  /** The requests that it handles, by `LookBack.key`: whether they are answered with it. */
  readonly requests: ReadonlyMap<string, boolean>;
  /** The streams whose states it was decided on. */
  readonly touched: readonly StreamRef[];
  /** The state that a stream has after the batch; undefined when the batch does not change it. */
  stateAfter(ref: StreamRef): StreamState | undefined;
  /** Applies the outcome to memory, and answers the requests. */
  settle(place: Committed | undefined): void;
}

/**
 * Decides a batch: messages first, in order, then requests. A message that cannot be decided leaves no trace but its
 * failure; requests that are refused get their refusal as an answer.
 * @param again true after a conflict: streams that are said to be new are looked up all the same
 * @param before the batch that is being committed; the one decided here is void unless that succeeds. Not kept: each batch
 *   would hold on to all before it
 * @throws UnavailableError when states cannot be loaded
 */
export async function prepareBatch(
  items: readonly Item[],
  progress: Progress | undefined,
  again: boolean,
  ports: BatchPorts,
  before?: BatchBefore,
): Promise<PreparedBatch> {
  const decision = createBatchDecision(ports);
  const failures: Failure[] = [];
  const planned = planMessages(items, failures, ports);
  const requests = items.filter((item) => item.kind === 'request');
  const answers = await findAnswers(requests, ports.store);
  await loadStates(planned, requests, decision, again, ports, before);
  const under = before && { requests: before.prepared.requests, ended: before.ended };
  const answered = await lookBack(planned, ports.store, { known: ports.known, before: under });
  const asked = new Map<string, boolean>();

  const parked: { readonly item: MessageItem; readonly place: Place; readonly until: number }[] = [];
  const handled: MessageItem[] = [];
  const blockedNow = new Map<string, number>();
  for (const plan of planned) {
    const anythingWaits = blockedNow.size > 0 || !ports.retries.isEmpty;
    const place = anythingWaits && plan.item.retry === undefined ? ports.consumer.placeOf(plan.item.event) : undefined;
    const until = place && (blockedNow.get(placeKey(place)) ?? ports.retries.blockedUntil(place));
    if (until !== undefined) {
      parked.push({ item: plan.item, place: place!, until });
      continue;
    }
    const error = decideMessage(plan, decision, answered, asked);
    if (error === undefined) {
      handled.push(plan.item);
      continue;
    }
    const failure = failureOf(plan.item, error, ports);
    failures.push(failure);
    blockedNow.set(placeKey(failure.place), ports.clock.now());
  }
  const newAnswers: StoredAnswer[] = [];
  const settlements = requests.map((item) => decideRequest(item, decision, answers, newAnswers));
  const consumed = handled.map((item) => item.event);
  const { rows, sums, committed } = await ports.inline.writesFor(
    consumed.length === 0 ? decision.events : [...consumed, ...decision.events],
    before !== undefined,
  );

  const described = failures.map((failure) => ({ failed: describe(failure, ports), error: failure.error }));
  const behind = parked.map(({ item, place, until }) =>
    parkBehind({ event: item.event, place }, until, contextOf(ports)),
  );
  const failureWrites = failureWritesFor(described.map((failure) => failure.failed).concat(behind), handled, ports);
  const seen = decision.seen();
  const commit: Commit = {
    appends: decision.appends(),
    ...(seen.length > 0 && { seen }),
    answers: newAnswers,
    snapshots: decision.snapshots(ports.snapshotEvery),
    rows,
    sums,
    ...(progress !== undefined && { progress }),
    ...(failureWrites !== undefined && { failures: failureWrites }),
  };
  return {
    commit,
    empty:
      progress === undefined &&
      commit.appends.length + seen.length + newAnswers.length === 0 &&
      failureWrites === undefined,
    failures: described,
    consumed,
    requests: asked,
    touched: decision.touched(),
    stateAfter: decision.outcomeOf,
    settle: (place) => {
      committed();
      for (const [key, isAnswered] of asked) ports.known.set(key, isAnswered);
      if (place !== undefined) for (const state of decision.outcome(place.month)) ports.states.set(state);
      for (const failed of failureWrites?.failed ?? []) {
        ports.poisoned.delete(failed.eventId);
        noteFailure(failed, ports.retries);
      }
      for (const item of handled) if (item.retry !== undefined) ports.retries.settle(item.retry);
      for (const settlement of settlements) answer(settlement);
    },
  };
}

function planMessages(items: readonly Item[], failures: Failure[], ports: BatchPorts): readonly Planned[] {
  const planned: Planned[] = [];
  for (const item of items) {
    if (item.kind !== 'message') continue;
    const poison = ports.poisoned.get(item.event.id);
    if (poison !== undefined) {
      failures.push(failureOf(item, poison, ports));
      continue;
    }
    try {
      checkRead(item.event, ports.catalog);
      planned.push({ item, reactions: ports.service.reactions[item.event.type]?.(item.event) ?? [] });
    } catch (cause) {
      failures.push(failureOf(item, new DataError(`malformed message: ${toError(cause).message}`, { cause }), ports));
    }
  }
  return planned;
}

/** What was read back from a store may have been written by anyone; what this process just wrote was checked then. */
function checkRead(event: RecordedEvent, catalog: ReadonlyMap<string, EventDefinition>): void {
  if (event.sequence === undefined) return;
  const unreadable = unreadableProblem(event);
  if (unreadable !== undefined) throw new DataError(unreadable);
  const definition = catalog.get(event.type);
  if (definition === undefined) return;
  if (event.version > definition.version)
    throw new DataError(`${event.type} version ${event.version} is newer than this process knows`);
  const problem = definition.problem(event.data);
  if (problem !== undefined) throw new DataError(`${event.type} does not fit its schema: ${problem}`);
}

async function findAnswers(requests: readonly RequestItem[], store: Store): Promise<ReadonlyMap<string, StoredAnswer>> {
  const keys = requests.flatMap((item) => item.request.keys ?? []);
  if (keys.length === 0) return NO_ANSWERS;
  return new Map((await store.findAnswers(keys)).map((found) => [answerName(found), found]));
}

const NO_ANSWERS: ReadonlyMap<string, StoredAnswer> = new Map();

function answerName(key: { readonly scope: string; readonly key: string }): string {
  return `${key.scope}\u0000${key.key}`;
}

async function loadStates(
  planned: readonly Planned[],
  requests: readonly RequestItem[],
  decision: BatchDecision,
  again: boolean,
  ports: BatchPorts,
  before: BatchBefore | undefined,
): Promise<void> {
  const missing = new Map<string, StreamRef>();
  const enter = (ref: StreamRef, fresh: boolean | undefined): void => {
    if (decision.has(ref)) return;
    const known =
      before?.prepared.stateAfter(ref) ?? (fresh && !again ? ports.states.fresh(ref) : ports.states.get(ref));
    if (known === undefined) missing.set(keyOf(ref), ref);
    else decision.enter(known);
  };
  for (const { reactions } of planned)
    for (const reaction of reactions) enter({ type: reaction.aggregate, id: reaction.id }, reaction.fresh);
  for (const { request } of requests)
    for (const command of request.commands) enter({ type: command.aggregate, id: command.id }, command.fresh);
  if (missing.size === 0) return;
  for (const state of await ports.states.load([...missing.values()])) decision.enter(state);
}

/** @returns the error, when the message cannot be handled */
function decideMessage(
  { item, reactions }: Planned,
  decision: BatchDecision,
  answered: ReadonlySet<Reaction>,
  asked: Map<string, boolean>,
): Error | undefined {
  const { event } = item;
  const cause = {
    correlationId: event.metadata.correlationid,
    causationId: event.id,
    traceId: traceIdOf(event.metadata.traceparent),
  };
  const outcomes: [key: string, isAnswered: boolean][] = [];
  try {
    decision.attempt(reactions, () => {
      for (const reaction of reactions) {
        const before = answered.has(reaction) || isAnsweredInBatch(reaction, item, decision);
        const [result] = decision.decide([reaction], cause, before);
        if (!result!.ok) throw new DataError(`refused: ${result!.refusal.code}: ${result!.refusal.message}`);
        const { lookBack } = reaction;
        if (lookBack !== undefined)
          outcomes.push([lookBack.key, before || result!.value.events.some(lookBack.isAnswer)]);
      }
    });
    for (const [key, isAnswered] of outcomes) asked.set(key, isAnswered);
    return undefined;
  } catch (error) {
    return toError(error);
  }
}

function decideRequest(
  item: RequestItem,
  decision: BatchDecision,
  answers: ReadonlyMap<string, StoredAnswer>,
  into: StoredAnswer[],
): Settlement {
  const { request } = item;
  const keys = request.keys ?? [];
  for (const key of keys) {
    const stored = answers.get(answerName(key));
    if (stored !== undefined) return replay(item, key, stored);
  }
  const { correlationId, causationId, traceId } = request;
  const cause = { correlationId, causationId, traceId };
  try {
    const answered = decision.attempt(request.commands, () => request.answer(decision.decide(request.commands, cause)));
    for (const key of keys) into.push({ ...key, answer: answered });
    return { item, executed: { answer: answered, replayed: false } };
  } catch (error) {
    return { item, error: toError(error) };
  }
}

function replay(item: RequestItem, key: AnswerKey, stored: StoredAnswer): Settlement {
  if (stored.requestHash === key.requestHash) return { item, executed: { answer: stored.answer, replayed: true } };
  const code = key.scope === 'http' ? 'idempotency_key_reused' : 'reference_reused';
  return { item, error: new RequestError(code, `"${key.key}" was used before, for another request`) };
}

function answer({ item, executed, error }: Settlement): void {
  if (executed !== undefined) item.resolve(executed);
  else item.reject(error!);
}

function placeKey(place: Place): string {
  return `${place.topic}/${place.key}`;
}

function contextOf(ports: BatchPorts) {
  return {
    consumer: ports.service.name,
    dlqTopic: ports.consumer.deadLetters(ports.service.dlqTopic),
    clock: ports.clock,
  };
}

function failureOf(item: MessageItem, error: Error, ports: BatchPorts): Failure {
  return { item, error, place: item.retry?.place ?? ports.consumer.placeOf(item.event) ?? offTopic(item.event) };
}

/** A message of a type that is on no topic stands for itself alone. */
function offTopic(event: RecordedEvent): Place {
  return { topic: 'log', partition: 0, key: event.id };
}

function describe(failure: Failure, ports: BatchPorts): FailedMessage {
  const message = { event: failure.item.event, place: failure.place, attempts: failure.item.retry?.attempts ?? 0 };
  return describeFailure(message, failure.error, { ...contextOf(ports), random: ports.random() });
}

function failureWritesFor(
  failed: readonly FailedMessage[],
  handled: readonly MessageItem[],
  ports: BatchPorts,
): FailureWrites | undefined {
  const settled = handled
    .filter((item) => item.retry !== undefined)
    .map((item) => ({ consumer: ports.service.name, eventId: item.event.id }));
  return failed.length + settled.length === 0 ? undefined : { failed, settled };
}

function noteFailure(failed: FailedMessage, retries: Retries): void {
  const message: RetryingMessage = {
    event: failed.event,
    place: { topic: failed.topic, partition: failed.partition, key: failed.key },
    attempts: failed.attempts,
    retryAt: failed.retryAt ?? 0,
  };
  if (failed.retryAt === undefined) retries.settle(message);
  else retries.keep(message);
}
