import { createSliceComparison, type Difference, type LogSlice } from '#kernel/bus/comparison.ts';
import { partitionName } from '#kernel/bus/group.ts';
import type { KafkaConnection } from '#kernel/bus/kafka/client.ts';
import { readSlice } from '#kernel/bus/kafka/comparison.ts';
import { withReader } from '#kernel/bus/kafka/reader.ts';
import { type Compared, type Comparison, planSlices, readNotes } from '#kernel/bus/postgres/comparisons.ts';
import { readStoreId } from '#kernel/bus/postgres/positions.ts';
import { eventTopics, placeTopics, type Topology } from '#kernel/bus/topology.ts';
import type { LogPosition } from '#kernel/core/log-position.ts';
import type { Pool } from '#kernel/postgres/pool.ts';

interface Ports {
  readonly pool: Pool;
  readonly connection: KafkaConnection;
  readonly before: Topology;
  readonly after: Topology;
  /** Milliseconds since 1970. */
  now(): number;
  /** Told after each part of a long way. */
  onProgress(events: number): void;
}

/** Of more events than these the newest are compared, a few minutes of a busy platform; else it would never end. */
const MOST_EVENTS = 1_000_000;
/** So many are held in memory at once: of each a few hundred bytes. */
const SLICE_EVENTS = 20_000;
const EXAMPLES = 20;
const EVENTS_OF_EXAMPLE = 5;
const FETCH_BYTES = 4_194_304;

/**
 * Compares what Kafka has on the topics of two topologies that both get every event.
 * @param begin what was compared before
 * @param to how far the relay has come, all of which it has noted
 * @throws UnavailableError when Kafka or the store is out of reach
 */
export function compareTopologies(ports: Ports, begin: Compared, to: LogPosition): Promise<Comparison> {
  const { pool, connection, before, after } = ports;
  return withReader(connection, async (reader) => {
    const store = await readStoreId(pool);
    const [old, next] = [placeTopics(before), eventTopics(after)];
    const known = new Map([...before.topics, ...after.topics].map((topic) => [topic.name, topic]));
    const topics = [...known.values()].filter(({ name }) => old.has(name) || next.has(name));
    const sizes = { most: MOST_EVENTS, size: SLICE_EVENTS };
    const whole: LogSlice = { from: begin.position, to };
    const { slices, leftOut } = await planSlices(pool, whole, [...old], sizes);
    const total = { events: 0, keys: 0, repeats: 0, foreign: 0, differences: 0 };
    const examples: Difference[] = [];
    // Where what was left out ends in the partitions, nobody has looked.
    let offsets: Compared['offsets'] = leftOut > 0 ? {} : begin.offsets;
    for (const [i, slice] of slices.entries()) {
      const notes = await readNotes(pool, slice, [...old, ...next]);
      const comparison = createSliceComparison({
        before,
        after,
        slice,
        notedAt: ({ topic, partition, event: { chain, chainPosition } }) =>
          notes.offsets.get(partitionName({ topic, partition }))?.get(`${chain}/${chainPosition}`),
      });
      const read = await readSlice(reader, {
        topics,
        store,
        slice,
        notes,
        offsets,
        toEnd: i === slices.length - 1,
        maxBytes: FETCH_BYTES,
        onEvent: (event) => {
          if (old.has(event.topic)) comparison.add('before', event);
          if (next.has(event.topic)) comparison.add('after', event);
        },
      });
      offsets = read.offsets;
      const { differences, ...counts } = comparison.result();
      total.events += counts.events;
      total.keys += counts.keys;
      total.repeats += counts.repeats;
      total.foreign += read.foreign;
      total.differences += differences.length;
      examples.push(...differences.slice(0, EXAMPLES - examples.length).map(shortened));
      if (i < slices.length - 1) ports.onProgress(total.events);
    }
    const end: Compared = { position: to, offsets };
    return { at: ports.now(), begin, end, ...total, left_out: leftOut, examples, accepted: false };
  });
}

function shortened(difference: Difference): Difference {
  return { ...difference, events: difference.events.slice(0, EVENTS_OF_EXAMPLE) };
}
