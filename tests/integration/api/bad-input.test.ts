import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { ERRORS, type ErrorCode } from '#kernel/core/errors.ts';
import { type InjectedApi, type Response, startInjectedApi } from '../../support/injected-api.ts';

const PAYMENT = { amount: 100.5, currency: 'USD', method: 'credit_card', customer_id: 'customer-123' };
const UNKNOWN_ID = '01a2015b-d838-7000-be28-998ccc9e2549';

/** The answer is a problem document with this code, and the status that goes with it. */
function assertProblem(answer: Response, code: ErrorCode, fields?: readonly string[]): void {
  assert.equal(answer.body.code, code, answer.text);
  assert.equal(answer.status, ERRORS[code][0]);
  assert.equal(answer.body.status, ERRORS[code][0]);
  assert.match(String(answer.headers['content-type']), /^application\/problem\+json/);
  assert.equal(answer.body.type, `urn:caudal:error:${code}`);
  assert.equal(answer.body.trace_id, answer.headers['x-trace-id']);
  if (fields !== undefined)
    assert.deepEqual(answer.body.errors.map((error: { field: string }) => error.field).sort(), fields);
}

describe('what the API refuses', () => {
  let api: InjectedApi;
  before(async () => {
    api = await startInjectedApi();
  });
  after(() => api.close());

  const raw = (amount: string, currency = 'USD') =>
    api.post('/payments', `{"amount":${amount},"currency":"${currency}","method":"wallet","customer_id":"c"}`);

  const AMOUNTS: readonly (readonly [amount: string, currency: string, code: ErrorCode])[] = [
    ['1e400', 'USD', 'invalid_amount'],
    ['-1e400', 'USD', 'invalid_amount'],
    ['"NaN"', 'USD', 'invalid_amount'],
    ['"1e5"', 'USD', 'invalid_amount'],
    ['" 1"', 'USD', 'invalid_amount'],
    ['""', 'USD', 'invalid_amount'],
    ['null', 'USD', 'invalid_amount'],
    ['true', 'USD', 'invalid_amount'],
    ['[1]', 'USD', 'invalid_amount'],
    ['{"value":1}', 'USD', 'invalid_amount'],
    ['0', 'USD', 'amount_not_positive'],
    ['-0.01', 'USD', 'amount_not_positive'],
    ['0.001', 'USD', 'amount_too_precise'],
    ['1.5', 'JPY', 'amount_too_precise'],
    ['0.00001', 'CLF', 'amount_too_precise'],
    ['90071992547409.92', 'USD', 'amount_too_large'],
    ['9007199254740992', 'JPY', 'amount_too_large'],
    ['"90071992547409.92"', 'USD', 'amount_too_large'],
    ['1e20', 'USD', 'amount_too_large'],
    // A double would make a good amount of these: they are taken as they were written.
    ['1.000000000000000001', 'USD', 'amount_too_precise'],
    ['90071992547409.910000000000001', 'USD', 'amount_too_precise'],
    ['1', 'XXX', 'unknown_currency'],
    ['1', 'usd', 'unknown_currency'],
    ['1', '', 'unknown_currency'],
  ];
  for (const [amount, currency, code] of AMOUNTS) {
    test(`the amount ${amount} ${currency}: ${code}`, async () => assertProblem(await raw(amount, currency), code));
  }

  test('the largest amount of a currency is taken exactly', async () => {
    for (const [amount, currency] of [
      ['90071992547409.91', 'USD'],
      ['9007199254740.991', 'KWD'],
      ['9007199254740991', 'JPY'],
    ] as const) {
      const { status, body } = await raw(amount, currency);
      assert.deepEqual([status, body.amount_minor], [201, Number.MAX_SAFE_INTEGER], amount);
    }
  });

  test('every wrong field is named, each with its own code', async () => {
    const answer = await api.post('/payments', {
      amount: -1,
      currency: 'XXX',
      methd: 'wallet',
      customer_id: '',
      metadata: { a: 1 },
    });
    assertProblem(
      answer,
      'invalid_request',
      ['amount', 'currency', 'customer_id', 'metadata.a', 'method', 'methd'].sort(),
    );
    const codes = Object.fromEntries(
      answer.body.errors.map((error: { field: string; code: string }) => [error.field, error.code]),
    );
    assert.deepEqual(codes, {
      amount: 'amount_not_positive',
      currency: 'unknown_currency',
      customer_id: 'too_short',
      'metadata.a': 'wrong_type',
      method: 'required',
      methd: 'unknown_field',
    });
  });

  test('a body that is not JSON', async () => {
    for (const text of ['{', '', '{"amount": NaN}', "{'amount': 1}", '\u0000', '{"a":1}}']) {
      assertProblem(await api.post('/payments', text), 'invalid_json');
    }
  });

  test('a body that is JSON but no object', async () => {
    for (const text of ['[]', '1', 'null', '"text"'])
      assertProblem(await api.post('/payments', text), 'invalid_request');
  });

  test('a body that would change what all objects are', async () => {
    assertProblem(await api.post('/payments', '{"__proto__":{"amount":1}}'), 'invalid_json');
    assertProblem(await api.post('/payments', '{"constructor":{"prototype":{"amount":1}}}'), 'invalid_json');
  });

  test('text that cannot be stored', async () => {
    for (const text of ['\\u0000', '\\ud800', '\\udc00x']) {
      const body = `{"amount":1,"currency":"USD","method":"wallet","customer_id":"a${text}"}`;
      assertProblem(await api.post('/payments', body), 'invalid_json');
    }
    const pair = await api.post(
      '/payments',
      '{"amount":1,"currency":"USD","method":"wallet","customer_id":"\\ud83d\\ude00"}',
    );
    assert.deepEqual([pair.status, pair.body.customer_id], [201, '😀']);
    assertProblem(await api.get('/payments?customer_id=a%00b'), 'invalid_request', ['customer_id']);
    assertProblem(await api.get('/wallets/a%00b'), 'invalid_request', ['id']);
  });

  test('a body nested so deep that it cannot be walked', async () => {
    const text = `{"customer_id":"\\u0000","x":${'['.repeat(500_000)}${']'.repeat(500_000)}}`;
    assertProblem(await api.post('/payments', text), 'invalid_json');
  });

  test('a body over 1 MiB', async () => {
    const description = 'x'.repeat(1_048_576);
    assertProblem(await api.post('/payments', { ...PAYMENT, description }), 'body_too_large');
  });

  test('another media type', async () => {
    const form = {
      method: 'POST',
      url: '/payments',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      payload: 'amount=1',
    } as const;
    assertProblem(await api.send(form), 'unsupported_media_type');
    assertProblem(await api.send({ ...form, headers: { 'content-type': 'text/plain' } }), 'unsupported_media_type');
  });

  test('no body at all', async () => {
    assertProblem(await api.send({ method: 'POST', url: '/payments' }), 'invalid_request', ['']);
  });

  test('a card number where a token belongs; it is not repeated', async () => {
    const answer = await api.post('/payments', { ...PAYMENT, payment_token: '4242 4242 4242 4242' });
    assertProblem(answer, 'card_number_refused', ['payment_token']);
    assert.doesNotMatch(answer.text, /4242/);
  });

  test('a missing token, where the gateway needs one', async () => {
    const strict = await api.withContext({ tokenRequired: true });
    assertProblem(await strict.post('/payments', PAYMENT), 'token_required', ['payment_token']);
    assert.equal((await strict.post('/payments', { ...PAYMENT, method: 'wallet' })).status, 201);
  });

  test('an id that is no id, and one that nobody has', async () => {
    const paths = ['/payments/ID', '/payments/ID/timeline', '/payments/ID/refunds', '/api/v1/dlq/ID'];
    for (const path of paths) {
      const missing = path.includes('dlq') ? 'dead_letter_not_found' : 'payment_not_found';
      assertProblem(await api.get(path.replace('ID', 'xyz')), 'invalid_id');
      assertProblem(await api.get(path.replace('ID', UNKNOWN_ID)), missing);
      assertProblem(await api.get(path.replace('ID', UNKNOWN_ID.toUpperCase())), missing);
    }
    for (const action of ['retry', 'compensate']) {
      assertProblem(await api.post(`/api/v1/sagas/xyz/${action}`, {}), 'invalid_id');
      assertProblem(await api.post(`/api/v1/sagas/${UNKNOWN_ID}/${action}`, {}), 'saga_not_found');
    }
    assertProblem(await api.post('/payments/xyz/refunds', { reason: 'x' }), 'invalid_id');
    assertProblem(await api.post(`/payments/${UNKNOWN_ID}/refunds`, { reason: 'x' }), 'payment_not_found');
    assertProblem(await api.post(`/payments/${UNKNOWN_ID}/refunds`, { reason: 'x', amount: 1 }), 'payment_not_found');
    assertProblem(await api.post('/wallets/refund', { reason: 'x', payment_id: UNKNOWN_ID }), 'payment_not_found');
  });

  test('a missing wallet', async () => {
    for (const path of ['', '/transactions', '/balance', '/balance?as_of=2026-01-01']) {
      assertProblem(await api.get(`/wallets/nobody${path}`), 'wallet_not_found');
      assertProblem(await api.get(`/wallets/${UNKNOWN_ID}${path}`), 'wallet_not_found');
    }
    for (const kind of ['credits', 'debits']) {
      assertProblem(
        await api.post(`/wallets/nobody/${kind}`, { amount: 1, reason: 'x', reference: 'x' }),
        'wallet_not_found',
      );
    }
  });

  test('a query that is wrong', async () => {
    assertProblem(await api.get('/payments?limit=0'), 'invalid_request', ['limit']);
    assertProblem(await api.get('/payments?limit=1001'), 'invalid_request', ['limit']);
    assertProblem(await api.get('/payments?limit=ten'), 'invalid_request', ['limit']);
    assertProblem(await api.get('/payments?status=OPEN&colour=red'), 'invalid_request', ['colour', 'status']);
    assertProblem(await api.get('/payments?status=APPROVED&status=FAILED'), 'invalid_request', ['status']);
    assertProblem(await api.get('/payments?from=yesterday'), 'invalid_request', ['from']);
    assertProblem(await api.get('/payments?to=2026-02-30'), 'invalid_request', ['to']);
    assertProblem(await api.get('/payments?to=0001-01-01'), 'invalid_request', ['to']);
    assertProblem(await api.get('/wallets?min_balance=1e5'), 'invalid_request', ['min_balance']);
    assertProblem(await api.get('/api/v1/sagas?stuck=maybe'), 'invalid_request', ['stuck']);
  });

  test('a cursor that no list gave out', async () => {
    const paths = ['/payments', '/wallets', '/api/v1/sagas', '/api/v1/dlq', '/api/v1/ledger/accounts'];
    for (const path of paths) assertProblem(await api.get(`${path}?cursor=nonsense`), 'invalid_cursor');
    assertProblem(await api.get('/api/v1/ledger/accounts?cursor=wallet:1%20USD'), 'invalid_cursor');
    await api.post('/wallets', { user_id: 'cursor', currency: 'USD' });
    assertProblem(await api.get('/wallets/cursor/transactions?cursor=-1'), 'invalid_cursor');
  });

  test('a path or a method that there is not', async () => {
    assertProblem(await api.get('/nothing'), 'not_found');
    assertProblem(await api.get('/sagas'), 'not_found');
    assertProblem(await api.get('/payments/%'), 'not_found');
    const wrong = await api.send({ method: 'DELETE', url: '/payments' });
    assertProblem(wrong, 'method_not_allowed');
    assert.match(String(wrong.headers.allow), /GET/);
    assertProblem(
      await api.send({ method: 'PUT', url: `/api/v1/payments/${UNKNOWN_ID}`, payload: 'x' }),
      'method_not_allowed',
    );
  });

  test('an Idempotency-Key or an operator that is none', async () => {
    for (const key of ['', 'x'.repeat(256), 'ä']) {
      assertProblem(await api.post('/payments', PAYMENT, { 'idempotency-key': key }), 'idempotency_key_invalid');
    }
    const retry = `/api/v1/sagas/${UNKNOWN_ID}/retry`;
    assertProblem(await api.post(retry, {}, { 'x-operator': 'x'.repeat(101) }), 'invalid_request', ['X-Operator']);
  });
});
