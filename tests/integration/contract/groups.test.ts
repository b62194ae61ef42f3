import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type MemberProgress, type OwnedPartition, type PartitionRef, partitionName } from '#kernel/bus/group.ts';
import { MembershipLostError } from '#kernel/core/errors.ts';
import { append, newStream, openWriter } from '../../support/appending.ts';
import { type Backend, describeBackends } from '../../support/backends.ts';

const TOPIC: readonly PartitionRef[] = [0, 1, 2, 3].map((partition) => ({ topic: 'counters', partition }));
const [P0, P1, P2, P3] = TOPIC as [PartitionRef, PartitionRef, PartitionRef, PartitionRef];
const LEASE_MS = 60_000;

/** Saves a member's progress as a batch does, with an event, so that a refusal can be seen to leave nothing. */
async function save(backend: Backend, t: Parameters<typeof openWriter>[0], member: string, value: MemberProgress) {
  const writer = await openWriter(t, backend.store, `of ${member}`);
  await writer.commit({ appends: [append(newStream(), 0)], progress: { consumer: 'c', member, value } });
}

/** Lets a member's lease run out: the twin's clock is moved, PostgreSQL's own cannot be. */
async function expire(backend: Backend): Promise<number> {
  backend.clock.advance(LEASE_MS + 1);
  // Several times the lease: PostgreSQL's clock is another than that of the pause.
  await sleep(1200);
  return 400;
}

function owners(partitions: readonly OwnedPartition[]): readonly (string | undefined)[] {
  return partitions.map((partition) => partition.owner);
}

describeBackends('consumer groups', (open) => {
  test('the first member finds every partition free, at the start of the log', async (t) => {
    const { groups } = await open(t);
    await groups.join('c', 'm1', TOPIC);
    const view = await groups.heartbeat('c', 'm1', LEASE_MS);
    assert.deepEqual(view.members, ['m1']);
    assert.deepEqual(view.partitions.map(partitionName), TOPIC.map(partitionName));
    assert.deepEqual(owners(view.partitions), [undefined, undefined, undefined, undefined]);
    const ownership = await groups.exchange('c', 'm1', [], TOPIC);
    assert.deepEqual(ownership.progress, { cursor: {}, ahead: {} });
    assert.equal(ownership.owned.length, 4);
  });

  test('a partition has one owner: what another has is not taken', async (t) => {
    const { groups } = await open(t);
    for (const member of ['m1', 'm2']) await groups.join('c', member, TOPIC);
    await groups.exchange('c', 'm1', [], [P0, P1, P2]);
    const second = await groups.exchange('c', 'm2', [], [P1, P2, P3]);
    assert.deepEqual(second.owned.map(partitionName), ['counters/3']);
    await groups.exchange('c', 'm1', [P1], []);
    const third = await groups.exchange('c', 'm2', [], [P1, P2]);
    assert.deepEqual(third.owned.map(partitionName).sort(), ['counters/1', 'counters/3']);
    const { partitions } = await groups.heartbeat('c', 'm1', LEASE_MS);
    assert.deepEqual(owners(partitions), ['m1', 'm2', 'm1', 'm2']);
  });

  test('two members that reach for the same partitions get each of them once', async (t) => {
    const { groups } = await open(t);
    const members = ['m1', 'm2', 'm3'];
    for (const member of members) await groups.join('c', member, TOPIC);
    const taken = await Promise.all(
      members.map((member, i) => groups.exchange('c', member, [], i === 1 ? [...TOPIC].reverse() : TOPIC)),
    );
    const names = taken.flatMap((ownership) => ownership.owned.map(partitionName));
    assert.deepEqual(names.sort(), TOPIC.map(partitionName));
  });

  test('a partition goes on where its owner stood', async (t) => {
    const backend = await open(t);
    const { groups } = backend;
    for (const member of ['m1', 'm2']) await groups.join('c', member, TOPIC);
    await groups.exchange('c', 'm1', [], TOPIC);
    await save(backend, t, 'm1', { cursor: { 1: 10, 2: 5 }, ahead: {} });
    await groups.exchange('c', 'm1', [P2, P3], []);
    const { progress } = await groups.exchange('c', 'm2', [], [P2, P3]);
    assert.deepEqual(progress, { cursor: { 1: 10, 2: 5 }, ahead: {} });
  });

  test('a member that takes partitions from behind goes back for them alone', async (t) => {
    const backend = await open(t);
    const { groups } = backend;
    for (const member of ['m1', 'm2']) await groups.join('c', member, TOPIC);
    await groups.exchange('c', 'm1', [], [P0, P1]);
    await groups.exchange('c', 'm2', [], [P2, P3]);
    await save(backend, t, 'm1', { cursor: { 1: 10, 2: 5 }, ahead: {} });
    await save(backend, t, 'm2', { cursor: { 1: 3, 2: 20 }, ahead: {} });
    await groups.exchange('c', 'm2', [P2], []);
    const { progress } = await groups.exchange('c', 'm1', [], [P2]);
    assert.deepEqual(progress, {
      cursor: { 1: 3, 2: 5 },
      ahead: { 'counters/0': { 1: 10, 2: 5 }, 'counters/1': { 1: 10, 2: 5 }, 'counters/2': { 1: 3, 2: 20 } },
    });
  });

  test('a partition that was ahead is given away with what the cursor passed since', async (t) => {
    const backend = await open(t);
    const { groups } = backend;
    for (const member of ['m1', 'm2']) await groups.join('c', member, TOPIC);
    await groups.exchange('c', 'm1', [], [P0, P1]);
    await save(backend, t, 'm1', { cursor: { 1: 50, 2: 8 }, ahead: { 'counters/1': { 1: 3, 2: 20 } } });
    await groups.exchange('c', 'm1', [P1], []);
    const { progress } = await groups.exchange('c', 'm2', [], [P1]);
    assert.deepEqual(progress, { cursor: { 1: 50, 2: 20 }, ahead: {} });
  });

  test('a member that leaves gives its partitions back first', async (t) => {
    const { groups } = await open(t);
    for (const member of ['m1', 'm2']) await groups.join('c', member, TOPIC);
    await groups.exchange('c', 'm1', [], TOPIC);
    await assert.rejects(groups.leave('c', 'm1'));
    await groups.exchange('c', 'm1', TOPIC, []);
    await groups.leave('c', 'm1');
    const view = await groups.heartbeat('c', 'm2', LEASE_MS);
    assert.deepEqual(view.members, ['m2']);
    assert.deepEqual(owners(view.partitions), [undefined, undefined, undefined, undefined]);
  });

  test('one that says nothing for its lease is put out; another goes on where it stood', async (t) => {
    const backend = await open(t);
    const { groups } = backend;
    await groups.join('c', 'm1', TOPIC);
    await groups.exchange('c', 'm1', [], TOPIC);
    await save(backend, t, 'm1', { cursor: { 1: 7 }, ahead: {} });
    const leaseMs = await expire(backend);
    await groups.join('c', 'm2', TOPIC);
    const view = await groups.heartbeat('c', 'm2', leaseMs);
    assert.deepEqual([view.members, view.putOut], [['m2'], ['m1']]);
    assert.deepEqual((await groups.heartbeat('c', 'm2', leaseMs)).putOut, []);
    const { owned, progress } = await groups.exchange('c', 'm2', [], TOPIC);
    assert.equal(owned.length, 4);
    assert.deepEqual(progress.cursor, { 1: 7 });
  });

  test('one that died before the clock was set back is put out a lease later, not when the clock has caught up', async (t) => {
    const backend = await open(t);
    const { groups } = backend;
    await groups.join('c', 'm1', TOPIC);
    await backend.setGroupClockBack(60 * LEASE_MS);
    await groups.join('c', 'm2', TOPIC);
    const view = await groups.heartbeat('c', 'm2', LEASE_MS);
    assert.deepEqual(view.members, ['m1', 'm2']);
    const leaseMs = await expire(backend);
    assert.deepEqual((await groups.heartbeat('c', 'm2', leaseMs)).members, ['m2']);
  });

  test('one that was put out can neither exchange nor commit', async (t) => {
    const backend = await open(t);
    const { groups, store } = backend;
    await groups.join('c', 'm1', TOPIC);
    await groups.exchange('c', 'm1', [], TOPIC);
    const leaseMs = await expire(backend);
    await groups.join('c', 'm2', TOPIC);
    await groups.heartbeat('c', 'm2', leaseMs);
    await assert.rejects(save(backend, t, 'm1', { cursor: { 1: 9 }, ahead: {} }), MembershipLostError);
    await assert.rejects(groups.exchange('c', 'm1', [], []), MembershipLostError);
    assert.deepEqual((await store.readLog({}, { limit: 10 })).events, []);
    const view = await groups.heartbeat('c', 'm1', LEASE_MS);
    assert.deepEqual(view.members, ['m2']);
  });

  test('groups of different consumers do not meet', async (t) => {
    const { groups } = await open(t);
    await groups.join('c', 'm1', TOPIC);
    await groups.join('d', 'm1', [P0]);
    await groups.exchange('c', 'm1', [], TOPIC);
    const view = await groups.heartbeat('d', 'm1', LEASE_MS);
    assert.deepEqual(owners(view.partitions), [undefined]);
  });
});
