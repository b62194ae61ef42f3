import assert from 'node:assert/strict';
import { test } from 'node:test';
import { progressOf, standing } from '../group.ts';
import { advance, offsetOf, standAt, topicTagOf } from './standing.ts';

test('a partition in which nothing was written yet stands at 0 also among others of its consumer', () => {
  const [fresh, used] = [{}, {}];
  advance(fresh, { offset: -1, topicTag: 7 });
  advance(used, { offset: 4, topicTag: 9, chain: 'a/1', position: 30 });
  const refs = [
    { topic: 'fresh', partition: 0 },
    { topic: 'used', partition: 0 },
  ] as const;
  const progress = progressOf([
    { ...refs[0], progress: fresh },
    { ...refs[1], progress: used },
  ]);
  const kept = refs.map((ref) => standing(progress, ref));
  assert.deepEqual(kept.map(offsetOf), [0, 5]);
  assert.deepEqual(kept.map(topicTagOf), [7, 9]);
});

test('before anything was read there is no offset', () => {
  assert.equal(offsetOf({}), undefined);
  assert.equal(offsetOf(standAt({}, 3, 7)), 3);
});
