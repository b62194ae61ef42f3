import assert from 'node:assert/strict';
import { test } from 'node:test';
import { recorded } from '../../../tests/support/recorded.ts';
import {
  deadLetterTopic,
  groupName,
  type Key,
  placeOf,
  placesOf,
  type Route,
  type Topology,
  topicsOf,
} from './topology.ts';

const STREAM = '019aaf00-0000-7000-8000-000000000001';
const color: Key = { name: 'color', of: ({ data }) => data.color };

const TOPOLOGY: Topology = {
  name: 'paints',
  topics: [
    { name: 'dark', partitions: 3 },
    { name: 'light', partitions: 5 },
    { name: 'counted', partitions: 2 },
    { name: 'unused', partitions: 1 },
  ],
  routes: new Map<string, readonly Route[]>([
    [
      'mixed',
      [
        { topic: 'dark', key: color, takes: ({ data }) => data.dark === true, partitions: 'even' },
        { topic: 'light', key: color, partitions: 'odd', copies: ['counted'] },
      ],
    ],
    ['sold', [{ topic: 'light', key: color }]],
    ['lost', [{ topic: 'nowhere', key: color }]],
  ]),
};

function event(type: string, data: object | null) {
  return recorded('paint', STREAM, [{ type, data: data as object }])[0]!;
}

test('an event goes the first way that takes it, else the last', () => {
  assert.equal(placeOf(TOPOLOGY, event('mixed', { dark: true, color: 'red' }))?.topic, 'dark');
  assert.equal(placeOf(TOPOLOGY, event('mixed', { color: 'red' }))?.topic, 'light');
  assert.equal(placeOf(TOPOLOGY, event('unheard', { color: 'red' })), undefined);
});

test('even and odd partitions are all used, and no others, also where their number is odd', () => {
  const seen = (dark: boolean, type = 'mixed'): readonly number[] => {
    const colors = Array.from({ length: 200 }, (_, i) => `color ${i}`);
    const partitions = colors.map((name) => placeOf(TOPOLOGY, event(type, { dark, color: name }))!.partition);
    return [...new Set(partitions)].sort();
  };
  assert.deepEqual(seen(true), [0, 2]);
  assert.deepEqual(seen(false), [1, 3]);
  assert.deepEqual(seen(false, 'sold'), [0, 1, 2, 3, 4]);
});

test('the stream stands for a key that is missing, is no text, or cannot be read', () => {
  for (const data of [{}, { color: 7 }, null]) {
    assert.equal(placeOf(TOPOLOGY, event('sold', data))?.key, STREAM);
    assert.deepEqual([placeOf(TOPOLOGY, event('mixed', data))?.topic], ['light']);
  }
});

test('copies have the key of the place, and their own topic has the partitions', () => {
  const [place, ...copies] = placesOf(TOPOLOGY, event('mixed', { color: 'red' }));
  assert.deepEqual(place, placeOf(TOPOLOGY, event('mixed', { color: 'red' })));
  assert.deepEqual([copies.length, copies[0]?.topic, copies[0]?.key, copies[0]!.partition], [1, 'counted', 'red', 1]);
  assert.deepEqual(placesOf(TOPOLOGY, event('mixed', { color: 'red', dark: true })).length, 1);
});

test('a type is consumed from every topic that it can go to, but not from copies', () => {
  const names = (...types: readonly string[]) => topicsOf(TOPOLOGY, types).map(({ name }) => name);
  assert.deepEqual(names('mixed'), ['dark', 'light']);
  assert.deepEqual(names('sold', 'unheard'), ['light']);
  assert.deepEqual(names(), []);
});

test('a topic that a route names and the topology has not is a mistake of the topology', () => {
  assert.throws(() => placeOf(TOPOLOGY, event('lost', { color: 'red' })), /topology paints has no topic nowhere/);
});

test('dead letters go to the topic that the service names, unless the topology has one for all', () => {
  assert.equal(deadLetterTopic(TOPOLOGY, 'shop.dlq'), 'shop.dlq');
  assert.equal(deadLetterTopic({ ...TOPOLOGY, deadLetters: 'all.dlq' }, 'shop.dlq'), 'all.dlq');
});

test('a consumer group is called by its service and topic', () => {
  assert.equal(groupName('fraud', 'payments.created'), 'fraud-service-payments-created-consumer');
});
