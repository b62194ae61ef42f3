import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DataError } from '../core/errors.ts';
import { encodeArray } from './arrays.ts';

const HEADER_BYTES = 20;
const PG_EPOCH = Date.UTC(2000, 0, 1);

for (const [what, time] of [
  ['a moment of today', Date.UTC(2026, 10, 22, 3, 55, 8, 123)],
  ['a moment before 2000', Date.UTC(1993, 0, 1)],
  ['the end of the year 9999, past 2^53 microseconds', Date.UTC(9999, 11, 31)],
] as const) {
  test(`timestamptz: ${what}`, () => {
    const buffer = encodeArray('timestamptz', [time]);
    assert.equal(buffer.readBigInt64BE(HEADER_BYTES + 4), BigInt(time - PG_EPOCH) * 1000n);
  });
}

test('timestamptz: what is no moment is refused', () => {
  assert.throws(() => encodeArray('timestamptz', [Number.NaN]), DataError);
});
