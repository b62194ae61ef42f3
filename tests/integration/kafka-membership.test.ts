import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMembership } from '#kernel/bus/kafka/membership.ts';
import { ensureTopics } from '#kernel/bus/kafka/topics.ts';
import { systemClock } from '#kernel/core/clock.ts';
import { createLog } from '#kernel/observability/log.ts';
import { onEnd } from '../support/cleanup.ts';
import { openKafka } from '../support/kafka.ts';
import { until } from '../support/until.ts';

const LOG = createLog('silent');
const TOPIC = 'things';

test('a member whose brokers are gone says why nothing can come, until it has joined again', async (t) => {
  const kafka = await openKafka(t);
  const connection = { brokers: kafka.bootstrap, clientId: 'test' };
  await ensureTopics(connection, [{ name: TOPIC, partitions: 2 }], { replication: 1, retentionMs: 60_000 }, LOG);
  const settings = { groupId: 'members', topic: TOPIC, sessionTimeoutMs: 6000, heartbeatMs: 500 };
  const membership = createMembership(connection, settings, systemClock, LOG, () => undefined);
  onEnd(t, () => membership.leave());
  membership.start();
  const hasAll = () => membership.assigned.length === 2;
  await until('it has all partitions', hasAll);
  assert.equal(membership.trouble, undefined);
  const { id } = kafka.brokers[0]!;
  await kafka.killBroker(id);
  await until('it says what is wrong', () => membership.trouble !== undefined);
  assert.match(membership.trouble!, /Kafka is out of reach at 127\.0\.0\.1/);
  assert.deepEqual(membership.assigned, []);
  await kafka.startBroker(id);
  await until('it has them again', hasAll);
  assert.equal(membership.trouble, undefined);
});
