import { FetchIsolationLevels, ResponseError } from '@platformatic/kafka';
import type { Scheduler } from '../../core/clock.ts';
import type { Log } from '../../observability/log.ts';
import { type KafkaConnection, openClient, unavailable } from './client.ts';
import { batchesOf, RecordConsumer } from './fetch.ts';
import { offsetBehind, type RecordBatch } from './records.ts';
import { topicTag } from './standing.ts';

export interface FetchSettings {
  readonly topics: readonly string[];
  /** A broker that has nothing new answers after so long, milliseconds. */
  readonly waitMs: number;
  /** Bytes of one answer, and of one partition in it. A larger message comes alone. */
  readonly maxBytes: number;
  readonly partitionBytes: number;
}

/** Where to go on in one partition. */
export interface FetchPoint {
  readonly topic: string;
  readonly partition: number;
  /** Undefined: from the first message that there is. */
  readonly offset: number | undefined;
  /** See `standing.ts`. */
  readonly topicTag: number | undefined;
}

/** What was found at a point. */
export interface Fetched {
  /** The first may begin before it. */
  readonly batches: readonly RecordBatch[];
  /** Where to go on. */
  readonly nextOffset: number;
  readonly topicTag: number;
  /** The offset behind the last message of the partition. */
  readonly end: number;
}

export interface FetchPorts {
  /** What to fetch now: none when there is no room. */
  points(): readonly FetchPoint[];
  deliver(point: FetchPoint, fetched: Fetched): void;
  /** Called when a topic is missing. */
  makeTopics(): Promise<void>;
  /** The tags of the topics as the store knows them. */
  notedTags(): Promise<ReadonlyMap<string, number>>;
  readonly clock: Scheduler;
  readonly log: Log;
}

/** Reads partitions, from each broker those that it leads, one request at a time. */
export interface Fetcher {
  /** Why nothing can be read; undefined while all goes well. */
  readonly trouble: string | undefined;
  /** Looks again at what is to be fetched. */
  poke(): void;
  close(): Promise<void>;
}

type Metadata = Awaited<ReturnType<RecordConsumer['metadata']>>;

const RETRY_MS = 500;
const FAILURES_BEFORE_WARNING = 3;
const OFFSET_OUT_OF_RANGE = 1;
const EARLIEST = -2n;

export function createFetcher(connection: KafkaConnection, settings: FetchSettings, ports: FetchPorts): Fetcher {
  const { clock, log } = ports;
  const topics = [...settings.topics];
  const client = open();
  let stopped = false;
  let looking = false;
  let again = false;
  /** Why nothing can be read. It is said once, and not at once: leaders move, and new topics take a moment. */
  let trouble: string | undefined;
  let failures = 0;
  /** Why some topics are not read yet. */
  let awaited: string | undefined;
  let askAgainAt = 0;
  const busy = new Set<number>();

  function open(): RecordConsumer {
    // The group is never joined: memberships are their own clients, see membership.ts.
    const opened = openClient(connection, (options) => new RecordConsumer({ ...options, groupId: 'caudal-fetcher' }));
    for (const topic of topics) opened.topics.track(topic);
    opened.on('error', (error: Error) => log.debug({ error }, 'the Kafka client reports an error'));
    return opened;
  }

  const look = async (): Promise<void> => {
    const points = ports.points();
    if (points.length === 0) return;
    const metadata = await client.metadata({ topics });
    const [known, unknown] = partition(points, (point) => isKnown(point, metadata));
    const begun = await ripe(unknown, metadata);
    if (begun.length > 0) await findStart(begun, metadata);
    for (const [leader, ofLeader] of byLeader(known, metadata)) {
      if (busy.has(leader)) continue;
      busy.add(leader);
      void fetchFrom(leader, ofLeader, metadata).finally(() => {
        busy.delete(leader);
        poke();
      });
    }
  };

  /**
   * A topic that was made anew is read when the store knows of it: before, how far we were in the old one has to be there for the
   * relay to see, so that it sends again what we have not handled.
   */
  const ripe = async (points: readonly FetchPoint[], metadata: Metadata): Promise<readonly FetchPoint[]> => {
    const [remade, others] = partition(points, ({ topicTag: tag }) => tag !== undefined);
    if (remade.length === 0) awaited = undefined;
    if (remade.length === 0 || clock.now() < askAgainAt) return others;
    const noted = await ports.notedTags();
    const [ready, early] = partition(remade, ({ topic }) => noted.get(topic) === tagOf(topic, metadata));
    waitFor([...new Set(early.map(({ topic }) => topic))]);
    if (ready.length > 0)
      log.info(
        { topics: [...new Set(ready.map(({ topic }) => topic))] },
        'topics were made anew: reading them from their start, without what was handled before',
      );
    return [...others, ...ready];
  };

  const waitFor = (remade: readonly string[]): void => {
    if (remade.length === 0) return;
    if (awaited === undefined)
      log.warn(
        { topics: remade },
        'topics were made anew: they are read when the relay has seen it, and sends again what was not handled',
      );
    awaited = `the relay has not seen yet that ${remade.join(', ')} was made anew`;
    askAgainAt = clock.now() + RETRY_MS;
    client.clearMetadata();
    clock.after(RETRY_MS, poke);
  };

  const findStart = async (points: readonly FetchPoint[], metadata: Metadata): Promise<void> => {
    const first = await client.listOffsets({
      topics: [...new Set(points.map(({ topic }) => topic))],
      timestamp: EARLIEST,
    });
    for (const point of points) {
      const offset = Number(first.get(point.topic)![point.partition]);
      const tag = tagOf(point.topic, metadata);
      if (point.offset !== undefined)
        log[point.topicTag === tag ? 'warn' : 'debug'](
          { topic: point.topic, partition: point.partition, from: point.offset, to: offset },
          'the topic does not have the offset any more: reading from its first message; what was handled before is left out',
        );
      ports.deliver(point, { batches: [], nextOffset: offset, topicTag: tag, end: offset });
    }
    poke();
  };

  const fetchFrom = async (leader: number, points: readonly FetchPoint[], metadata: Metadata): Promise<void> => {
    try {
      const response = await client
        .fetch({
          node: leader,
          topics: requestOf(points, metadata, settings.partitionBytes),
          maxWaitTime: settings.waitMs,
          minBytes: 1,
          maxBytes: settings.maxBytes,
          isolationLevel: FetchIsolationLevels.READ_COMMITTED,
        })
        .catch((cause: unknown) => responseOf(cause));
      await accept(response, points, metadata);
      if (trouble !== undefined) log.info({ topics }, 'Kafka is within reach again');
      trouble = undefined;
      failures = 0;
    } catch (cause) {
      await wait(cause);
    }
  };

  const accept = async (response: Response, points: readonly FetchPoint[], metadata: Metadata): Promise<void> => {
    const names = new Map([...metadata.topics].map(([name, { id }]) => [id, name]));
    const asked = new Map(points.map((point) => [`${point.topic}/${point.partition}`, point]));
    const outOfRange: FetchPoint[] = [];
    let failed = false;
    for (const { topicId, partitions } of response.responses) {
      for (const fetched of partitions) {
        const { partitionIndex, errorCode, highWatermark } = fetched;
        const point = asked.get(`${names.get(topicId)}/${partitionIndex}`);
        if (point === undefined) continue;
        if (errorCode === OFFSET_OUT_OF_RANGE) outOfRange.push(point);
        else if (errorCode !== 0) failed = true;
        else {
          const batches = batchesOf(fetched);
          const nextOffset = offsetBehind(point.offset!, batches);
          ports.deliver(point, { batches, nextOffset, topicTag: topicTag(topicId), end: Number(highWatermark) });
        }
      }
    }
    if (outOfRange.length > 0) await findStart(outOfRange, metadata);
    // A leader has moved, or a topic was made anew: where, the next look will tell.
    if (failed) throw new Error('a broker does not lead a partition, or does not know it');
  };

  const wait = async (cause: unknown): Promise<void> => {
    if (stopped) return;
    const error = unavailable(cause, connection);
    failures += 1;
    if (failures >= FAILURES_BEFORE_WARNING) {
      if (trouble === undefined) log.warn({ topics, error }, 'cannot read from Kafka; trying again');
      trouble = error.message;
    }
    client.clearMetadata();
    if (/unknown topic/i.test(error.message))
      await ports.makeTopics().catch((error: Error) => log.warn({ error }, 'cannot make the missing topics yet'));
    await new Promise<void>((resolve) => {
      clock.after(RETRY_MS, resolve);
    });
  };

  const poke = (): void => {
    if (stopped) return;
    again = true;
    if (looking) return;
    looking = true;
    void run();
  };

  const run = async (): Promise<void> => {
    while (again && !stopped) {
      again = false;
      try {
        await look();
      } catch (cause) {
        await wait(cause);
        again = true;
      }
    }
    looking = false;
  };

  return {
    get trouble() {
      return trouble ?? awaited;
    },
    poke,
    close: async () => {
      stopped = true;
      await client.close(true).catch(() => undefined);
    },
  };
}

type Response = Awaited<ReturnType<RecordConsumer['fetch']>>;

/** An answer in which some partitions have an error; the others are good. */
function responseOf(cause: unknown): Response {
  if (cause instanceof ResponseError && cause.response !== undefined) return cause.response as Response;
  throw cause;
}

/** Whether its offset is known, and of the topic that is there now. */
function isKnown(point: FetchPoint, metadata: Metadata): boolean {
  return point.offset !== undefined && point.topicTag === tagOf(point.topic, metadata);
}

function tagOf(topic: string, metadata: Metadata): number {
  return topicTag(metadata.topics.get(topic)!.id);
}

function byLeader(points: readonly FetchPoint[], metadata: Metadata): ReadonlyMap<number, readonly FetchPoint[]> {
  const result = new Map<number, FetchPoint[]>();
  for (const point of points) {
    const leader = metadata.topics.get(point.topic)?.partitions[point.partition]?.leader ?? -1;
    const group = result.get(leader);
    if (group === undefined) result.set(leader, [point]);
    else group.push(point);
  }
  return result;
}

function requestOf(points: readonly FetchPoint[], metadata: Metadata, partitionMaxBytes: number) {
  const topics = new Map<string, FetchPoint[]>();
  for (const point of points) {
    const { id } = metadata.topics.get(point.topic)!;
    topics.set(id, [...(topics.get(id) ?? []), point]);
  }
  return [...topics].map(([topicId, ofTopic]) => ({
    topicId,
    partitions: ofTopic.map(({ topic, partition: index, offset }) => ({
      partition: index,
      currentLeaderEpoch: metadata.topics.get(topic)!.partitions[index]!.leaderEpoch,
      fetchOffset: BigInt(offset!),
      lastFetchedEpoch: -1,
      partitionMaxBytes,
    })),
  }));
}

function partition<T>(items: readonly T[], test: (item: T) => boolean): readonly [T[], T[]] {
  return [items.filter(test), items.filter((item) => !test(item))];
}
