import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { createIdSource } from '#kernel/core/ids.ts';
import type { Store, Writer } from '#kernel/event-store/store.ts';
import { append, newStream, openWriter, pending, wholeLog } from './appending.ts';
import type { Backend } from './backends.ts';
import type { ToyProcess } from './toy-process.ts';
import { type Add, type AdditionAsked, added, additionAsked, type CounterState } from './toy-service.ts';
import { COUNTERS, TOTALS } from './toy-tables.ts';
import { until } from './until.ts';

const ids = createIdSource();

/** The outside world: asks for additions, and looks at what became of them. */
export interface ToyClient {
  /** Asks for additions, each in a stream of its own, in one commit; wakes the processes. */
  ask(...additions: readonly AdditionAsked[]): Promise<void>;
  /** Appends any payload as a request, also one that no schema allows. */
  askAnything(data: object): Promise<void>;
}

/** @param processes those that are told at once of what was asked, as PostgreSQL's NOTIFY does */
export async function openToyClient(
  t: TestContext,
  backend: Backend,
  processes: readonly Pick<ToyProcess, 'tail'>[],
): Promise<ToyClient> {
  const writer: Writer = await openWriter(t, backend.store, 'client');
  const askAll = async (payloads: readonly object[]): Promise<void> => {
    const appends = payloads.map((data) => append(newStream('request'), 0, pending(data, additionAsked.type)));
    await writer.commit({ appends });
    for (const { tail } of processes) tail.wake();
  };
  return { ask: (...additions) => askAll(additions), askAnything: (data) => askAll([data]) };
}

/** Asks a process itself for an addition. @returns the counter's total after it; NaN when it was refused */
export async function add({ processor }: Pick<ToyProcess, 'processor'>, command: Add): Promise<number> {
  const { answer } = await processor.execute({
    commands: [{ aggregate: 'counter', id: command.id, command }],
    traceId: ids.traceId(),
    answer: ([result]) => (result!.ok ? (result!.value.state as CounterState).total : Number.NaN),
  });
  return answer;
}

/** Waits until so many additions were made. */
export async function additionsMade(store: Store, count: number): Promise<void> {
  await until(`${count} additions`, async () => (await additions(store)).length >= count);
}

/** Every addition made, in the order of the log. */
export async function additions(store: Store): Promise<readonly RecordedEvent[]> {
  return (await wholeLog(store)).filter((event) => event.type === added.type);
}

/**
 * Fails unless every request of the log was carried out exactly once, those of one counter in the order in which they
 * were asked, and the read models tell the same.
 */
export async function checkExactlyOnce(store: Store): Promise<void> {
  const log = await wholeLog(store);
  const asked = log.filter((event) => event.type === additionAsked.type);
  const made = log.filter((event) => event.type === added.type);
  assert.deepEqual(counters(asked), counters(made));
  const caused = made.map((event) => event.metadata.causationid).filter((cause) => cause !== undefined);
  assert.equal(new Set(caused).size, caused.length, 'no request was carried out twice');
  await checkReadModels(store, made);
}

/** The numbers of each counter, in order. */
function counters(events: readonly RecordedEvent[]): Readonly<Record<string, readonly number[]>> {
  const result: Record<string, number[]> = {};
  for (const { data } of events) {
    result[data.counter_id] ??= [];
    result[data.counter_id]!.push(data.n);
  }
  return Object.fromEntries(Object.entries(result).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Fails unless rows and sums are what the events add up to. */
export async function checkReadModels(store: Store, made: readonly RecordedEvent[]): Promise<void> {
  const expected = new Map<string, number>();
  for (const { data } of made) expected.set(data.counter_id, (expected.get(data.counter_id) ?? 0) + data.n);
  const rows = await store.loadRows(
    COUNTERS,
    [...expected.keys()].map((id) => [id]),
  );
  assert.deepEqual(new Map(rows.map((row) => [row.id, row.total])), expected);
  const stripes = await store.loadRows(
    TOTALS,
    Array.from({ length: 50 }, (_, stripe) => ['all', stripe]),
  );
  const total = stripes.reduce((sum, row) => sum + (row.amount as number), 0);
  const entries = stripes.reduce((sum, row) => sum + (row.entries as number), 0);
  assert.deepEqual([total, entries], [made.reduce((sum, { data }) => sum + data.n, 0), made.length]);
}
