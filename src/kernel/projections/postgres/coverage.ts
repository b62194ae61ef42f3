import { LOG_TOPIC } from '../../bus/consumer.ts';
import { type PartitionRef, partitionName, type StandingPartition } from '../../bus/group.ts';
import { toLog } from '../../bus/postgres/bus-change.ts';
import { readSeat } from '../../bus/postgres/group-store.ts';
import { readPartitions, readStoreId } from '../../bus/postgres/positions.ts';
import { handledBefore, topologyNamed } from '../../bus/seat.ts';
import { placeOf, type Topology } from '../../bus/topology.ts';
import type { RecordedEvent } from '../../core/event.ts';
import { earlier, LOG_START, type LogPosition, later, positionIn } from '../../core/log-position.ts';
import { readHead } from '../../event-store/postgres/read.ts';
import type { Sql } from '../../postgres/sql.ts';

/** Which events a read model has folded, at one moment. */
export interface Coverage {
  /** All up to here. */
  readonly floor: LogPosition;
  /** None after here. */
  readonly ceiling: LogPosition;
  covers(event: RecordedEvent): boolean;
  /** As they are noted, whichever bus that is for. */
  readonly partitions: readonly StandingPartition[];
}

/** Who folds a read model, and from where. */
export interface Source {
  /** The consumer by whose positions it stands: a follower, or the service that writes it in its own transactions. */
  readonly consumer: string;
  /** Every event type that is folded. */
  readonly types: readonly string[];
  /** Those that are folded in the transaction that appends them; none for a follower. */
  readonly ownTypes: ReadonlySet<string>;
}

/**
 * Reads what the consumer has handled. Within a transaction that keeps the read model from being written, this is what
 * stands in its table: positions are saved together with rows.
 * @param logOf the store in whose log; that of `sql` itself when not given
 */
export async function readCoverage(
  sql: Sql,
  source: Source,
  topologies: readonly [Topology, ...Topology[]],
  logOf?: string,
): Promise<Coverage> {
  const seat = await readSeat(sql, source.consumer);
  const topology = seat === undefined ? topologies[0] : topologyNamed(topologies, seat.topology);
  const isPresent = ({ topic }: PartitionRef): boolean =>
    topic === LOG_TOPIC || topology.topics.some(({ name }) => name === topic);
  const raw = await readPartitions(sql, source.consumer);
  const storeId = logOf ?? (await readStoreId(sql));
  const all = raw.map((partition) => ({ ...partition, progress: toLog(partition.progress, storeId) }));
  const partitions = all.filter(isPresent);
  const left = all.filter((partition) => !isPresent(partition));
  const standings = Object.fromEntries(left.map((partition) => [partitionName(partition), partition.progress]));
  const leftTopology = seat?.left_topology ?? undefined;
  const wasHandled = handledBefore(
    { topology: topology.name, ...(leftTopology !== undefined && { left: { topology: leftTopology, standings } }) },
    topologies,
  );
  const head = await readHead(sql);
  const consumed =
    partitions.length === 0 ? LOG_START : partitions.map((partition) => partition.progress).reduce(earlier);
  const byName = new Map(partitions.map((partition) => [partitionName(partition), partition.progress]));
  // What is appended here is in no other log.
  const isOwn = (type: string): boolean => logOf === undefined && source.ownTypes.has(type);
  const covers = (event: RecordedEvent): boolean => {
    if (isOwn(event.type)) return true;
    const place = placeOf(topology, event);
    const handled = (place === undefined ? undefined : byName.get(partitionName(place))) ?? consumed;
    return event.chainPosition <= positionIn(handled, event.chain) || wasHandled(event, event.chain);
  };
  const floor = source.types.every(isOwn) ? head : consumed;
  const ceiling = source.types.some(isOwn) ? head : all.map((partition) => partition.progress).reduce(later, LOG_START);
  return { floor, ceiling, covers, partitions: raw.filter(isPresent) };
}

/** Messages that the consumer did not handle: their events are in the log, and not in the read model. By event id. */
export interface Unhandled {
  /** Waiting for another attempt or for an operator. */
  readonly waiting: ReadonlySet<string>;
  /** Given up for good. */
  readonly discarded: ReadonlySet<string>;
}

export async function readUnhandled(sql: Sql, consumer: string): Promise<Unhandled> {
  const rows = await sql.query<{ event_id: string; status: string }>(
    `SELECT event_id, status FROM error_log WHERE consumer = $1 AND status <> 'replayed'`,
    [consumer],
  );
  const ids = (discarded: boolean): ReadonlySet<string> =>
    new Set(rows.filter((row) => (row.status === 'discarded') === discarded).map((row) => row.event_id));
  return { waiting: ids(false), discarded: ids(true) };
}
