import type { RecordedEvent } from '../core/event.ts';
import type { TableDefinition } from '../core/table.ts';

/** Where the events of one chain landed that were written to one partition together. */
export interface Landing {
  readonly topic: string;
  readonly partition: number;
  readonly first_offset: number;
  readonly last_offset: number;
  readonly chain: number;
  readonly first_position: number;
  readonly last_position: number;
  /** Element i: the chain position of the event at offset `first_offset + i`; null where that event is of another chain. */
  readonly positions: readonly (number | null)[];
  /** Milliseconds since 1970. */
  readonly landed_at: number;
}

/** The table that `Landing` is a row of. */
export const LANDINGS: TableDefinition = {
  name: 'event_landings',
  columns: {
    topic: 'text',
    partition: 'integer',
    first_offset: 'bigint',
    chain: 'integer',
    last_offset: 'bigint',
    first_position: 'bigint',
    last_position: 'bigint',
    positions: 'jsonb',
    landed_at: 'timestamptz',
  },
  key: ['topic', 'partition', 'first_offset', 'chain'],
};

/** The events of a partition, in the order in which they were written, from `offset` on. @returns a landing for each chain */
export function landingsOf(
  ref: { readonly topic: string; readonly partition: number },
  offset: number,
  events: readonly Pick<RecordedEvent, 'chain' | 'chainPosition'>[],
  landedAt: number,
): readonly Landing[] {
  const chains = new Map<number, number[]>();
  for (const [index, { chain }] of events.entries()) {
    const indexes = chains.get(chain);
    if (indexes === undefined) chains.set(chain, [index]);
    else indexes.push(index);
  }
  return [...chains].map(([chain, indexes]) => {
    const first = indexes[0]!;
    const last = indexes.at(-1)!;
    const stretch = events.slice(first, last + 1);
    return {
      topic: ref.topic,
      partition: ref.partition,
      first_offset: offset + first,
      last_offset: offset + last,
      chain,
      first_position: events[first]!.chainPosition,
      last_position: events[last]!.chainPosition,
      positions: stretch.map((event) => (event.chain === chain ? event.chainPosition : null)),
      landed_at: landedAt,
    };
  });
}
