import assert from 'node:assert/strict';
import { test } from 'node:test';
import { landingsOf } from './landings.ts';

const REF = { topic: 't', partition: 3 };
const NOW = 1_793_000_000_000;

function events(...places: readonly [chain: number, position: number][]) {
  return places.map(([chain, chainPosition]) => ({ chain, chainPosition }));
}

test('events of one chain are one row, which says the offset of each', () => {
  assert.deepEqual(landingsOf(REF, 100, events([1, 5], [1, 7], [1, 8]), NOW), [
    {
      topic: 't',
      partition: 3,
      first_offset: 100,
      last_offset: 102,
      chain: 1,
      first_position: 5,
      last_position: 8,
      positions: [5, 7, 8],
      landed_at: NOW,
    },
  ]);
});

test('events of several chains between one another are a row a chain, with gaps where others stand', () => {
  const rows = landingsOf(REF, 10, events([1, 5], [2, 1], [1, 6], [2, 2]), NOW);
  assert.deepEqual(
    rows.map(({ chain, first_offset, last_offset, positions }) => [chain, first_offset, last_offset, positions]),
    [
      [1, 10, 12, [5, null, 6]],
      [2, 11, 13, [1, null, 2]],
    ],
  );
});
