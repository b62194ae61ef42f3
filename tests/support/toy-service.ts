import { Type } from '@sinclair/typebox';
import type { Topology } from '#kernel/bus/topology.ts';
import type { Decider } from '#kernel/core/decider.ts';
import { defineEvent, type EventOf, type PayloadOf, type RecordedEvent } from '#kernel/core/event.ts';
import type { RowProjection, SumProjection } from '#kernel/core/projection.ts';
import { accept, refuse } from '#kernel/core/result.ts';
import { uuid } from '#kernel/core/schemas.ts';
import type { Reaction, ServiceDefinition } from '#kernel/processor/service.ts';
import { COUNTERS, TOTALS } from './toy-tables.ts';

/** What others ask of the counters. */
export const additionAsked = defineEvent({
  type: 'addition.asked',
  version: 1,
  description: 'Somebody asks for an addition.',
  schema: Type.Object({
    counter_id: uuid(),
    also_id: Type.Optional(uuid()),
    n: Type.Integer(),
    least: Type.Optional(Type.Integer({ description: 'nothing is added to a counter that is below' })),
    note: Type.Optional(Type.String()),
  }),
});

export const added = defineEvent({
  type: 'counter.added',
  version: 1,
  description: 'A number was added to a counter.',
  schema: Type.Object({
    counter_id: uuid(),
    n: Type.Integer(),
    total: Type.Integer(),
    note: Type.Optional(Type.String()),
  }),
});

export type AdditionAsked = PayloadOf<typeof additionAsked>;
type Added = EventOf<typeof added>;

/** A command of the counters. */
export interface Add {
  readonly id: string;
  readonly n: number;
  readonly least?: number;
  readonly note?: string;
}

export interface CounterState {
  readonly total: number;
}

/** What a test lets go wrong; the functions throw what these return. */
export interface ToyFaults {
  decide?: ((command: Add) => Error | undefined) | undefined;
  project?: ((event: RecordedEvent) => Error | undefined) | undefined;
}

const counterRows = (faults: ToyFaults): RowProjection => ({
  kind: 'rows',
  name: 'counters',
  table: COUNTERS,
  events: [added.type],
  key: (event) => [event.aggregateId],
  startsRow: (event) => event.streamPosition === 1,
  evolve: (row, event) => {
    const fault = faults.project?.(event);
    if (fault !== undefined) throw fault;
    const data = event.data as Added['data'];
    const note = data.note === 'refused by the database' ? 'a\u0000b' : (data.note ?? null);
    const total = ((row?.total as number | undefined) ?? 0) + data.n;
    return { id: event.aggregateId, total, note, open: true, detail: { last: data.n }, changed_at: event.time };
  },
});

const totals: SumProjection = {
  kind: 'sums',
  name: 'totals',
  table: TOTALS,
  events: [added.type],
  increments: (event) => [{ key: { name: 'all' }, add: { amount: (event.data as Added['data']).n, entries: 1 } }],
};

function counterDecider(faults: ToyFaults): Decider<CounterState, Add, Added> {
  return {
    aggregate: 'counter',
    stateVersion: 1,
    initial: { total: 0 },
    evolve: (state, event) => ({ total: state.total + event.data.n }),
    decide: ({ id, n, least = -Infinity, note }, state) => {
      const fault = faults.decide?.({ id, n, ...(note !== undefined && { note }) });
      if (fault !== undefined) throw fault;
      if (n === 0) return refuse('nothing_to_add', 'zero adds nothing', 'n');
      if (state.total < least) return accept([]);
      const data = { counter_id: id, n, total: state.total + n, ...(note !== undefined && { note }) };
      return accept([{ type: added.type, data }]);
    },
  };
}

function reactionsTo(event: RecordedEvent): readonly Reaction[] {
  const { counter_id, also_id, n, least, note } = event.data as AdditionAsked;
  const more = { ...(least !== undefined && { least }), ...(note !== undefined && { note }) };
  return [counter_id, also_id]
    .filter((id) => id !== undefined)
    .map((id) => ({ aggregate: 'counter', id, command: { id, n, ...more } }));
}

/** A service that counts: every request adds to a counter, or to two. Its rows and sums tell what it did. */
export function createToyService(faults: ToyFaults = {}): ServiceDefinition {
  return {
    name: 'counters',
    produces: [added],
    deciders: [counterDecider(faults)],
    reactions: { [additionAsked.type]: reactionsTo },
    inline: [counterRows(faults), totals],
    projections: [{ ...counterRows(faults), name: 'followed' }],
    dlqTopic: 'counters.dlq',
  };
}

/** @param keyOf what orders the requests; default: the counter */
export function toyTopology(keyOf = (event: RecordedEvent): string => event.data.counter_id): Topology {
  return {
    name: 'toy',
    topics: [
      { name: 'additions', partitions: 4 },
      { name: 'counters', partitions: 4 },
    ],
    routes: new Map([
      [additionAsked.type, [{ topic: 'additions', key: { name: 'counter_id', of: keyOf } }]],
      [added.type, [{ topic: 'counters', key: { name: 'counter', of: (event) => event.aggregateId } }]],
    ]),
  };
}
