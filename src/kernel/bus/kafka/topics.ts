import { setTimeout as sleep } from 'node:timers/promises';
import { Admin, UserError } from '@platformatic/kafka';
import { ConflictError } from '../../core/errors.ts';
import type { Log } from '../../observability/log.ts';
import type { Topic } from '../topology.ts';
import { isAnswer, type KafkaConnection, openClient, unavailable } from './client.ts';

export interface TopicSettings {
  /** Copies of each partition; fewer where there are fewer brokers. */
  readonly replication: number;
  /** How long messages are kept, milliseconds. */
  readonly retentionMs: number;
}

/** A topic that was just made is known to every broker only a moment later, when they are busy after seconds. */
const ATTEMPTS = 75;
const ATTEMPT_PAUSE_MS = 200;
/** A copy may be missing, and what is acknowledged is still kept by another. */
const MIN_IN_SYNC = 2;
/** Room for a batch of the relay that does not shrink when it is compressed, and for the largest event. */
const MAX_MESSAGE_BYTES = 4_194_304;

/**
 * Creates the topics that are missing.
 * @throws UnavailableError when the brokers are out of reach or refuse
 * @throws ConflictError when a topic has another number of partitions: its keys would be looked for in the wrong ones
 */
export async function ensureTopics(
  connection: KafkaConnection,
  topics: readonly Topic[],
  settings: TopicSettings,
  log: Log,
): Promise<void> {
  const admin = openClient(connection, (options) => new Admin(options));
  try {
    for (let attempt = 1; !(await makeAndCheck(admin, topics, settings, log, attempt)); attempt++)
      await sleep(ATTEMPT_PAUSE_MS);
  } catch (cause) {
    throw cause instanceof ConflictError ? cause : unavailable(cause, connection);
  } finally {
    await admin.close().catch(() => undefined);
  }
}

/** @returns false when one of them is not known yet, or is being deleted */
async function makeAndCheck(
  admin: Admin,
  topics: readonly Topic[],
  settings: TopicSettings,
  log: Log,
  attempt: number,
): Promise<boolean> {
  const existing = new Set(await admin.listTopics());
  const missing = topics.filter((topic) => !existing.has(topic.name));
  if (missing.length > 0) await create(admin, missing, settings, log);
  try {
    await check(admin, topics);
    return true;
  } catch (cause) {
    if (!(cause instanceof UserError) || attempt === ATTEMPTS) throw cause;
    return false;
  }
}

async function create(admin: Admin, topics: readonly Topic[], settings: TopicSettings, log: Log): Promise<void> {
  const { brokers } = await admin.metadata({ topics: [] });
  const replicas = Math.min(settings.replication, brokers.size);
  if (replicas < settings.replication)
    log.warn(
      { brokers: brokers.size, replicas, wanted: settings.replication },
      'topics are made with fewer copies than KAFKA_REPLICATION asks for: there are not enough brokers',
    );
  const configs = [
    { name: 'max.message.bytes', value: String(MAX_MESSAGE_BYTES) },
    { name: 'retention.ms', value: String(settings.retentionMs) },
    { name: 'min.insync.replicas', value: String(Math.min(MIN_IN_SYNC, Math.max(1, replicas - 1))) },
  ];
  for (const { name, partitions } of topics) {
    try {
      await admin.createTopics({ topics: [{ topic: name, partitions, replicas }], configs });
    } catch (cause) {
      // Another process was quicker; or the one of that name is being deleted, which whoever looks again will see.
      if (!isAnswer(cause, 'TOPIC_ALREADY_EXISTS')) throw cause;
    }
  }
  log.info({ topics: topics.map((topic) => topic.name), replicas }, 'topics were created');
}

async function check(admin: Admin, topics: readonly Topic[]): Promise<void> {
  const { topics: found } = await admin.metadata({ topics: topics.map((topic) => topic.name), forceUpdate: true });
  for (const { name, partitions } of topics) {
    const count = found.get(name)?.partitionsCount;
    if (count !== partitions)
      throw new ConflictError(
        `topic ${name} has ${count ?? 'no'} partitions in Kafka and ${partitions} in the topology; it must have as many`,
      );
  }
}

/** Deletes those of the topics that there are, with all that is on them. @returns which @throws UnavailableError */
export async function deleteTopics(connection: KafkaConnection, topics: readonly string[]): Promise<readonly string[]> {
  const admin = openClient(connection, (options) => new Admin(options));
  try {
    const existing = new Set(await admin.listTopics());
    const found = topics.filter((name) => existing.has(name));
    if (found.length > 0) await admin.deleteTopics({ topics: found });
    return found;
  } catch (cause) {
    throw unavailable(cause, connection);
  } finally {
    await admin.close().catch(() => undefined);
  }
}
