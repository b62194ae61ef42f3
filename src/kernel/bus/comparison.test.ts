import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import type { RecordedEvent } from '../core/event.ts';
import { createSliceComparison, type Difference, type Side, type StandingEvent } from './comparison.ts';
import { partitionName } from './group.ts';
import { type Key, placeOf, placesOf, type Topology } from './topology.ts';

const user: Key = { name: 'user', of: ({ data }) => data.user };
const payment: Key = { name: 'payment', of: ({ data }) => data.payment };

/** Of few keys and few partitions, so that they meet. */
const COARSE: Topology = {
  name: 'coarse',
  topics: [{ name: 'all', partitions: 2 }],
  routes: new Map(['asked', 'answered'].map((type) => [type, [{ topic: 'all', key: user }]])),
};
const FINE: Topology = {
  name: 'fine',
  topics: ['asked', 'answered', 'counted'].map((name) => ({ name, partitions: 3 })),
  routes: new Map([
    ['asked', [{ topic: 'asked', key: payment }]],
    ['answered', [{ topic: 'answered', key: payment, copies: ['counted'] }]],
  ]),
};

/** A log of two chains, in the order of the relay. */
const logs = fc
  .array(fc.record({ chain: fc.integer({ min: 1, max: 2 }), payment: fc.nat(5), answered: fc.boolean() }), {
    minLength: 1,
    maxLength: 40,
  })
  .map((steps) => {
    const ends = new Map([
      [1, 100],
      [2, 0],
    ]);
    return steps.map((step, i): RecordedEvent => {
      const chainPosition = ends.get(step.chain)! + 1;
      ends.set(step.chain, chainPosition);
      return {
        id: `event-${i}`,
        type: step.answered ? 'answered' : 'asked',
        version: 1,
        aggregateType: 'payment',
        aggregateId: `payment-${step.payment}`,
        streamPosition: i,
        chain: step.chain,
        chainPosition,
        time: i,
        data: { user: `user-${step.payment % 2}`, payment: `payment-${step.payment}`, n: i },
        metadata: { correlationid: 'c', traceparent: 't' },
      };
    });
  });

const FROM = { 1: 100 };
const TO = { 1: 1000, 2: 1000 };

/** What Kafka has of one topology, by partition, and the offsets that the relay noted. */
interface Standing {
  readonly partitions: Map<string, StandingEvent[]>;
  readonly noted: Map<string, number>;
}

/** @param failedAfter the relay sent so many events, could not note them, and sent all again */
function written(topology: Topology, log: readonly RecordedEvent[], failedAfter: number): Standing {
  const partitions = new Map<string, StandingEvent[]>();
  const noted = new Map<string, number>();
  const failed = log.slice(0, failedAfter);
  for (const [i, event] of [...failed, ...log].entries()) {
    for (const { topic, partition, key } of placesOf(topology, event)) {
      const name = partitionName({ topic, partition });
      const messages = partitions.get(name) ?? [];
      partitions.set(name, messages);
      const checksum = hash('sha256', JSON.stringify(event));
      if (i >= failed.length) noted.set(noteName(name, event), messages.length);
      messages.push({ topic, partition, offset: messages.length, key, event, checksum });
    }
  }
  return { partitions, noted };
}

function noteName(name: string, { chain, chainPosition }: RecordedEvent): string {
  return `${name} ${chain}/${chainPosition}`;
}

function compare(before: [Topology, Standing], after: [Topology, Standing]): readonly Difference[] {
  const noted = new Map([...before[1].noted, ...after[1].noted]);
  const comparison = createSliceComparison({
    before: before[0],
    after: after[0],
    slice: { from: FROM, to: TO },
    notedAt: ({ event, ...ref }) => noted.get(noteName(partitionName(ref), event)),
  });
  for (const [side, [, { partitions }]] of [
    ['before', before],
    ['after', after],
  ] as [Side, [Topology, Standing]][])
    for (const messages of partitions.values())
      for (const [offset, message] of messages.entries()) comparison.add(side, { ...message, offset });
  return comparison.result().differences;
}

const ways: fc.Arbitrary<readonly [Topology, Topology]> = fc.constantFrom([COARSE, FINE], [FINE, COARSE]);
const runs = fc.tuple(ways, logs, fc.nat(40), fc.nat(40));

/** Does something to one partition of the topics to come. @returns ids of the events that it is about; undefined: it cannot */
type Damage = (messages: StandingEvent[], at: number) => readonly string[] | undefined;

/** The messages that readers take: those before what the relay noted are the same once more. */
function isOnce(messages: readonly StandingEvent[], at: number): boolean {
  return messages.filter(({ event }) => event.id === messages[at]!.event.id).length === 1;
}

const DAMAGES: Readonly<Record<string, readonly [Difference['kind'], Damage]>> = {
  dropped: ['missing', (messages, at) => (isOnce(messages, at) ? messages.splice(at, 1).map(idOf) : undefined)],
  doubled: [
    'surplus',
    (messages, at) => {
      messages.push(messages[at]!);
      return [idOf(messages[at]!)];
    },
  ],
  altered: [
    'altered',
    (messages, at) => {
      messages[at] = { ...messages[at]!, checksum: 'another' };
      return [idOf(messages[at]!)];
    },
  ],
  swapped: [
    'out of order',
    (messages, at) => {
      const [one, other] = [messages[at]!, messages[at + 1]];
      if (other === undefined || !isOnce(messages, at) || !isOnce(messages, at + 1)) return undefined;
      messages.splice(at, 2, other, one);
      return [idOf(one), idOf(other)];
    },
  ],
  'given another key': [
    'surplus',
    (messages, at) => {
      if (!isOnce(messages, at)) return undefined;
      messages[at] = { ...messages[at]!, key: 'nobody' };
      return [idOf(messages[at]!)];
    },
  ],
};

function idOf({ event }: StandingEvent): string {
  return event.id;
}

test('what the relay wrote to both is the same, also when it had to send some of it again', () => {
  fc.assert(
    fc.property(runs, ([[before, after], log, one, other]) => {
      const found = compare([before, written(before, log, one)], [after, written(after, log, other)]);
      assert.deepEqual(found, []);
    }),
  );
});

for (const [name, [kind, damage]] of Object.entries(DAMAGES)) {
  test(`a message that is ${name} is found, with its events and its key`, () => {
    let tried = 0;
    fc.assert(
      fc.property(runs, fc.nat(1000), fc.nat(1000), ([[before, after], log, one, other], which, where) => {
        const standing = written(after, log, other);
        const names = [...standing.partitions.keys()];
        const messages = standing.partitions.get(names[which % names.length]!)!;
        const about = damage(messages, where % messages.length);
        fc.pre(about !== undefined);
        tried += 1;
        const found = compare([before, written(before, log, one)], [after, standing]);
        const fitting = found.find((difference) => difference.kind === kind);
        assert.ok(fitting, JSON.stringify(found));
        assert.ok(
          fitting.events.some((id) => about.includes(id)),
          JSON.stringify(found),
        );
      }),
    );
    assert.ok(tried > 50);
  });
}

test('what was altered so that it belongs elsewhere is found where it stands', () => {
  const [log] = fc.sample(logs, { seed: 3, numRuns: 1 });
  const standing = written(FINE, log!, 0);
  const messages = [...standing.partitions.values()][0]!;
  const [message] = messages;
  messages.push({ ...message!, event: { ...message!.event, type: 'counted' }, checksum: 'another' });
  messages.push({ ...message!, event: { ...message!.event, data: {} }, checksum: 'another' });
  const found = compare([COARSE, written(COARSE, log!, 0)], [FINE, standing]);
  assert.ok(
    found.some(({ key, events }) => key === message!.key && events.includes(idOf(message!))),
    JSON.stringify(found),
  );
});

test('an event that stands once more behind its slice is found by its key', () => {
  const [log] = fc.sample(logs, { seed: 1, numRuns: 1 });
  const standing = written(FINE, log!, 0);
  const old = { ...log![0]!, id: 'old', chain: 1, chainPosition: 7 };
  const { topic, partition, key } = placeOf(FINE, old)!;
  const messages = standing.partitions.get(partitionName({ topic, partition })) ?? [];
  standing.partitions.set(partitionName({ topic, partition }), messages);
  messages.push({ topic, partition, offset: messages.length, key, event: old, checksum: 'old' });
  const found = compare([COARSE, written(COARSE, log!, 0)], [FINE, standing]);
  assert.deepEqual(
    found.map(({ kind, key: named, events }) => [kind, named, events]),
    [['surplus', key, ['old']]],
  );
});

test('what comes after the slice is left for the next', () => {
  const [log] = fc.sample(logs, { seed: 2, numRuns: 1 });
  const standing = written(FINE, log!, 0);
  const later = { ...log![0]!, chain: 1, chainPosition: TO[1] + 1 };
  const { topic, partition, key } = placeOf(FINE, later)!;
  const name = partitionName({ topic, partition });
  const message = { topic, partition, offset: 1000, key, event: later, checksum: 'later' };
  standing.partitions.set(name, [...(standing.partitions.get(name) ?? []), message]);
  assert.deepEqual(compare([COARSE, written(COARSE, log!, 0)], [FINE, standing]), []);
});
