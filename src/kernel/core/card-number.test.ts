import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isCardNumber } from './card-number.ts';

test('knows card numbers by their check digit, with and without groups', () => {
  for (const number of ['4242424242424242', '4242 4242 4242 4242', '5555-5555-5555-4444', '378282246310005']) {
    assert.equal(isCardNumber(number), true, number);
  }
});

test('does not take tokens and other numbers for card numbers', () => {
  for (const text of ['tok_visa', '4242424242424241', '42', 'tok_4242424242424242', '', '4242  4242 4242 4242']) {
    assert.equal(isCardNumber(text), false, text);
  }
});
