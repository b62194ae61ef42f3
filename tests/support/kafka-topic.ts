import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import { Admin, Consumer, MessagesStreamModes, Producer } from '@platformatic/kafka';

/** A message of a topic, as anybody's consumer sees it. */
export interface SeenMessage {
  readonly partition: number;
  readonly offset: number;
  readonly key: string | undefined;
  readonly value: Buffer;
  readonly headers: Readonly<Record<string, string>>;
  /** Milliseconds since 1970. */
  readonly timestamp: number;
}

/** Everything that is on a topic now, in the order of its partitions: read as any consumer of it does. */
export async function messagesOn(brokers: readonly string[], topic: string): Promise<readonly SeenMessage[]> {
  const consumer = new Consumer({ clientId: 'reader', groupId: randomUUID(), bootstrapBrokers: [...brokers] });
  try {
    const ends = (await consumer.listOffsets({ topics: [topic], timestamp: -1n })).get(topic)!;
    const count = ends.reduce((sum, end) => sum + Number(end), 0);
    return count === 0 ? [] : await readSome(consumer, topic, count);
  } finally {
    await consumer.close(true);
  }
}

async function readSome(consumer: Consumer, topic: string, count: number): Promise<readonly SeenMessage[]> {
  const seen: SeenMessage[] = [];
  const stream = await consumer.consume({ topics: [topic], mode: MessagesStreamModes.EARLIEST, autocommit: false });
  for await (const { partition, offset, key, value, headers, timestamp } of stream) {
    const texts = [...headers].map(([name, text]) => [String(name), String(text)]);
    seen.push({
      partition,
      offset: Number(offset),
      key: key?.toString(),
      value,
      headers: Object.fromEntries(texts),
      timestamp: Number(timestamp),
    });
    if (seen.length === count) break;
  }
  return seen.sort((a, b) => a.partition - b.partition || a.offset - b.offset);
}

/** A message by somebody who knows nothing of us. */
export interface StrangeMessage {
  readonly topic: string;
  readonly partition: number;
  readonly key?: string;
  readonly value: Buffer | null;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Writes it. @returns its offset */
export async function writeStrange(brokers: readonly string[], message: StrangeMessage): Promise<number> {
  const { topic, partition, key, value, headers = {} } = message;
  const producer = new Producer({ clientId: 'stranger', bootstrapBrokers: [...brokers] });
  try {
    const { offsets } = await producer.send({
      messages: [
        {
          topic,
          partition,
          ...(value !== null && { value }),
          ...(key !== undefined && { key: Buffer.from(key) }),
          headers: new Map(Object.entries(headers).map(([name, text]) => [Buffer.from(name), Buffer.from(text)])),
        },
      ],
    });
    return Number(offsets![0]!.offset);
  } finally {
    await producer.close();
  }
}

/** Has the broker forget what stands on a partition before an offset. */
export async function forgetBefore(
  brokers: readonly string[],
  { topic, partition, offset }: { readonly topic: string; readonly partition: number; readonly offset: number },
): Promise<void> {
  await withAdmin(brokers, (admin) =>
    admin.deleteRecords({ topics: [{ name: topic, partitions: [{ partition, offset: BigInt(offset) }] }] }),
  );
}

/** The names of all topics. */
export function topicsOf(brokers: readonly string[]): Promise<readonly string[]> {
  return withAdmin(brokers, (admin) => admin.listTopics());
}

/** Deletes topics, as an operator may by mistake. One that is not there at this moment is deleted already. */
export async function deleteTopics(brokers: readonly string[], topics: readonly string[]): Promise<void> {
  await withAdmin(brokers, async (admin) => {
    for (const topic of topics) await allowing('does not host', admin.deleteTopics({ topics: [topic] }));
  });
}

/** Makes a topic. Another may have been quicker. */
export async function makeTopic(brokers: readonly string[], topic: string, partitions: number): Promise<void> {
  await withAdmin(brokers, (admin) =>
    allowing('already exists', admin.createTopics({ topics: [topic], partitions, replicas: 1 })),
  );
}

async function allowing(expected: string, work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (cause) {
    if (!inspect(cause, { depth: null }).includes(expected)) throw cause;
  }
}

async function withAdmin<T>(brokers: readonly string[], work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = new Admin({ clientId: 'operator', bootstrapBrokers: [...brokers], retries: 0 });
  try {
    return await work(admin);
  } finally {
    await admin.close();
  }
}
