import { consumedPartitions } from '#kernel/bus/consumer.ts';
import { waitingOnKafka } from '#kernel/bus/kafka/waiting.ts';
import type { Comparison } from '#kernel/bus/postgres/comparisons.ts';
import { standingAmong } from '#kernel/bus/postgres/positions.ts';
import { type ConsumerSeat, readSeats, readTopologies, relayPosition } from '#kernel/bus/postgres/topologies.ts';
import { distance, earlier, LOG_START } from '#kernel/core/log-position.ts';
import { readHead } from '#kernel/event-store/postgres/read.ts';
import type { Pool } from '#kernel/postgres/pool.ts';
import { topologyOf } from '#src/topologies.ts';

/** How far a store is on its way from one topology to another. All of it is read from the store: a migration goes on where it was left. */
export interface MigrationStatus {
  readonly current: string;
  /** The topology that also gets every event; undefined when there is no migration. */
  readonly target: string | undefined;
  /** Since when it does, milliseconds since 1970. */
  readonly since_at: number | undefined;
  /** Events in the log that are not in Kafka yet; undefined where the log is the bus. */
  readonly relay_waiting: number | undefined;
  readonly consumers: readonly ConsumerProgress[];
  /** Of the target, else of the way to the current one; undefined when nothing was compared. */
  readonly compared: ComparisonSummary | undefined;
}

export interface ConsumerProgress extends ConsumerSeat {
  /** Messages of its topics that it has not handled; where the log is the bus, events of the log that it has not passed. */
  readonly waiting: number;
}

/** What an operator wants to know of a comparison. */
export type ComparisonSummary = Omit<Comparison, 'begin' | 'end'>;

interface Ports {
  /** The databases of the services. */
  readonly pools: readonly Pool[];
  /** Whether events travel through Kafka. */
  readonly relayed: boolean;
  /** The event types that a consumer reacts to. */
  types(consumer: string): readonly string[];
}

export async function readStatus({ pools, relayed, types }: Ports): Promise<MigrationStatus> {
  const stores = await Promise.all(pools.map(async (pool) => ({ pool, known: await readTopologies(pool) })));
  const moving = stores.filter(({ known }) => known.some(({ role }) => role === 'target'));
  const { known } = (moving[0] ?? stores[0])!;
  const target = known.find(({ role }) => role === 'target');
  const compared = stores.flatMap((store) => {
    const row = store.known.find(({ role }) => role === 'target') ?? store.known[0]!;
    return row.compared === null ? [] : [row.compared];
  });
  const waiting = async (pool: Pool, { consumer, topology }: ConsumerSeat): Promise<number> => {
    const partitions = consumedPartitions(topologyOf({ topology }), types(consumer));
    if (relayed) return waitingOnKafka(pool, consumer, partitions, pools);
    const standing = await standingAmong(pool, consumer, partitions);
    const [first, ...others] = standing.map(({ progress }) => progress);
    return distance(others.reduce(earlier, first ?? LOG_START), await readHead(pool));
  };
  const consumers: ConsumerProgress[] = [];
  for (const pool of pools)
    for (const seat of await readSeats(pool)) consumers.push({ ...seat, waiting: await waiting(pool, seat) });
  return {
    current: known[0]!.topology,
    target: target?.topology,
    since_at: target?.since_at,
    relay_waiting: relayed ? await notRelayed(pools) : undefined,
    consumers,
    compared: compared.length === 0 ? undefined : sumOf(compared),
  };
}

async function notRelayed(pools: readonly Pool[]): Promise<number> {
  const lags = await Promise.all(pools.map(async (pool) => distance(await relayPosition(pool), await readHead(pool))));
  return lags.reduce((sum, lag) => sum + lag, 0);
}

/** What was found, of one database or of all of them. @param comparisons one at least */
export function sumOf(comparisons: readonly Comparison[]): ComparisonSummary {
  const sum = (of: (comparison: Comparison) => number): number =>
    comparisons.reduce((total, one) => total + of(one), 0);
  return {
    at: Math.max(...comparisons.map(({ at }) => at)),
    events: sum(({ events }) => events),
    keys: sum(({ keys }) => keys),
    repeats: sum(({ repeats }) => repeats),
    foreign: sum(({ foreign }) => foreign),
    left_out: sum((one) => one.left_out),
    differences: sum(({ differences }) => differences),
    examples: comparisons.flatMap(({ examples }) => examples),
    accepted:
      comparisons.every(({ differences, accepted }) => differences === 0 || accepted) &&
      comparisons.some((one) => one.accepted),
  };
}
