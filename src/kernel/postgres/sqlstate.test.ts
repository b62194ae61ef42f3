import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { ConflictError, DataError, MembershipLostError, UnavailableError } from '../core/errors.ts';
import { translate } from './sqlstate.ts';

/** An error as the server sends it. */
function serverError(code: string): pg.DatabaseError {
  return Object.assign(new pg.DatabaseError('says the server', 0, 'error'), { code });
}

test('errors of the socket mean out of reach, also those whose code looks like an SQLSTATE', () => {
  for (const code of ['EPIPE', 'ECONNRESET', 'ETIMEDOUT', undefined]) {
    assert.ok(translate(Object.assign(new Error('broken'), { code })) instanceof UnavailableError, String(code));
  }
});

test('conflicts are to be decided again', () => {
  for (const code of ['23505', '40001', '40P01', 'CA001', 'CA002', 'CA003']) {
    assert.ok(translate(serverError(code)) instanceof ConflictError, code);
  }
  assert.ok(translate(serverError('CA004')) instanceof MembershipLostError);
});

test('refused values will never be accepted', () => {
  for (const code of ['22P05', '22003', '23502', '21000', '54000']) {
    assert.ok(translate(serverError(code)) instanceof DataError, code);
  }
});

test('no value is to blame for what the server lacks or suffers from', () => {
  for (const code of ['57P01', '53300', '08006', '58030', '42P01', 'XX001']) {
    assert.ok(translate(serverError(code)) instanceof UnavailableError, code);
  }
});
