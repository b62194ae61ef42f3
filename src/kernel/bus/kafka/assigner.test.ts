import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { assign } from './assigner.ts';

const members = fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 30 });
const partitions = fc.integer({ min: 0, max: 48 });

test('every partition has one member, and every member as many as any other or one less', () => {
  fc.assert(
    fc.property(members, partitions, (names, count) => {
      const owners = assign(names, count);
      assert.equal(owners.length, count);
      const counts = names.map((_, index) => owners.filter((owner) => owner === index).length);
      assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, counts.join());
    }),
  );
});

test('the order in which members are listed makes no difference', () => {
  fc.assert(
    fc.property(members, partitions, (names, count) => {
      const turned = names.toReversed();
      const byName = (list: readonly string[]) => assign(list, count).map((owner) => list[owner]);
      assert.deepEqual(byName(turned), byName(names));
    }),
  );
});

/** How many partitions change hands, in the mean, when one joins `size` members. */
function moved(size: number, count: number): number {
  let total = 0;
  for (let trial = 0; trial < 50; trial++) {
    const names = Array.from({ length: size + 1 }, (_, i) => `member ${trial} ${i}`);
    const before = assign(names.slice(0, size), count);
    const after = assign(names, count);
    total += before.filter((owner, partition) => owner !== after[partition]).length;
  }
  return total / 50;
}

test('who joins takes its share, and few of the others change theirs', () => {
  for (const size of [1, 2, 3, 5]) {
    const share = 24 / (size + 1);
    assert.ok(moved(size, 24) < 2 * share, `${moved(size, 24)} of 24 partitions move when one joins ${size}`);
  }
});
