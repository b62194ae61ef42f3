import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Admin, FindCoordinatorKeyTypes } from '@platformatic/kafka';
import { createMembership } from '#kernel/bus/kafka/membership.ts';
import type { Kafka } from '#kernel/bus/kafka/server/cluster.ts';
import { ensureTopics } from '#kernel/bus/kafka/topics.ts';
import { systemClock } from '#kernel/core/clock.ts';
import { createLog } from '#kernel/observability/log.ts';
import { onEnd } from '../support/cleanup.ts';
import { openKafka } from '../support/kafka.ts';
import { until } from '../support/until.ts';

const LOG = createLog('silent');
const TOPIC = 'things';
const GROUP = 'members';
const HEARTBEAT_MS = 500;
const SLOW_HEARTBEAT_MS = 15_000;

/** A member of the group; it leaves after the test. */
function startMember(t: TestContext, kafka: Kafka, clientId: string, sessionTimeoutMs: number, heartbeatMs: number) {
  const settings = { groupId: GROUP, topic: TOPIC, sessionTimeoutMs, heartbeatMs };
  const connection = { brokers: kafka.bootstrap, clientId };
  const membership = createMembership(connection, settings, systemClock, LOG, () => undefined);
  onEnd(t, () => membership.leave());
  membership.start();
  return membership;
}

const makeTopic = ({ bootstrap: brokers }: Kafka, replication: number): Promise<void> =>
  ensureTopics(
    { brokers, clientId: 'test' },
    [{ name: TOPIC, partitions: 2 }],
    { replication, retentionMs: 60_000 },
    LOG,
  );

test('a member whose brokers are gone says why nothing can come, until it has joined again', async (t) => {
  const kafka = await openKafka(t);
  await makeTopic(kafka, 1);
  const membership = startMember(t, kafka, 'one', 6000, HEARTBEAT_MS);
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

/** Others than those of the mend may be lost with a broker on a busy machine: one that certainly would be is not lost three times. */
const ATTEMPTS = 3;
const ATTEMPT_MS = 60_000;

test('members that join when the broker that leads their group is killed join as the same ones: nobody waits for a former session', async (t) => {
  let stable = false;
  for (let attempt = 1; !stable && attempt <= ATTEMPTS; attempt++) stable = await joinsThroughKill(t);
  assert.ok(stable, 'all have joined, each once');
});

/** @returns whether the group became stable, with four members, after its coordinator was killed while they joined */
async function joinsThroughKill(t: TestContext): Promise<boolean> {
  const kafka = await openKafka(t, { brokers: 3 });
  await makeTopic(kafka, 3);
  // Longer than this test waits.
  const sessionMs = 300_000;
  const first = startMember(t, kafka, 'one', sessionMs, HEARTBEAT_MS);
  await until('the first has all', () => first.assigned.length === 2);
  const second = startMember(t, kafka, 'two', sessionMs, HEARTBEAT_MS);
  await until('they share', () => first.assigned.length === 1 && second.assigned.length === 1);
  // It hears of the next one late, so that the others have to wait for it while they join.
  startMember(t, kafka, 'three', sessionMs, SLOW_HEARTBEAT_MS);
  await until('it has joined', async () => (await groupOf(kafka)).members === 3);
  startMember(t, kafka, 'four', sessionMs, HEARTBEAT_MS);
  await until('they wait for one another', async () => (await groupOf(kafka)).state === 'PreparingRebalance');
  // By now those that hear soon are joining.
  await sleep(4 * HEARTBEAT_MS);
  await kafka.killBroker((await groupOf(kafka)).coordinator!);
  const isWhole = async () => {
    const { state, members } = await groupOf(kafka);
    return state === 'Stable' && members === 4;
  };
  return until('all have joined, each once', isWhole, ATTEMPT_MS).then(
    () => true,
    () => false,
  );
}

/** The group as its coordinator knows it; nothing while there is none. */
async function groupOf({ bootstrap }: Kafka) {
  const admin = new Admin({ clientId: 'test', bootstrapBrokers: [...bootstrap], retries: 0 });
  try {
    const group = (await admin.describeGroups({ groups: [GROUP] })).get(GROUP);
    const [found] = await admin.findCoordinator({ keyType: FindCoordinatorKeyTypes.GROUP, keys: [GROUP] });
    return { state: group?.state, members: group?.members.size, coordinator: found?.nodeId };
  } catch {
    return { state: undefined, members: undefined, coordinator: undefined };
  } finally {
    await admin.close();
  }
}
