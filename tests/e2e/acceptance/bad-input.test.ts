import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import type { Answer } from '../../support/api.ts';
import { assertLedgerBalanced, balanceOf, finalPayment, pay, walletWith } from '../../support/money.ts';
import { startPlatform } from '../../support/platform.ts';

const platform = await startPlatform();
const { api } = platform;
const euroUser = await walletWith(api, '100.00', 'EUR');
const VALID = { amount: '10.00', currency: 'USD', method: 'credit_card', customer_id: 'customer-1' };
const MIB = 1_048_576;

async function countEvents(): Promise<number> {
  const [row] = await platform.query<{ count: string }>('SELECT count(*) FROM events');
  return Number(row!.count);
}

/** Checks that what `call` does is refused with this status and code as a problem document, and that nothing was recorded. */
async function refused(status: number, code: string, call: () => Promise<Answer>): Promise<Answer> {
  const before = await countEvents();
  const answer = await call();
  assert.deepEqual([answer.status, answer.body.code], [status, code], answer.text);
  assert.match(answer.headers.get('content-type') ?? '', /^application\/problem\+json/);
  assert.equal(answer.body.trace_id, answer.headers.get('x-trace-id'));
  assert.equal(await countEvents(), before);
  return answer;
}

function problemsOf({ body }: Answer): string[] {
  return body.errors.map(({ field, code }: { field: string; code: string }) => `${field} ${code}`);
}

/** A payment as text, so that numbers are sent as they are written. */
function paymentText(amount: string, currency = '"USD"'): string {
  return `{"amount": ${amount}, "currency": ${currency}, "method": "credit_card", "customer_id": "customer-1"}`;
}

/** Makes the payment, and waits until nothing more is recorded of it. @returns its amount in minor units */
async function minorOf(payment: string): Promise<number> {
  const { status, body, text } = await api.post('/payments', payment);
  assert.equal(status, 201, text);
  await finalPayment(api, body.id);
  return body.amount_minor;
}

const NOT_JSON = ['', '{', 'null,', '{"amount": NaN}', "{'amount': 1}", '{"__proto__": 1}', '{"a": "\\u0000"}'];

test('a body that is not JSON, or no object', async () => {
  for (const body of NOT_JSON) await refused(400, 'invalid_json', () => api.post('/payments', body));
  for (const body of ['null', '[]', '"payment"', '7']) {
    const answer = await refused(422, 'invalid_request', () => api.post('/payments', body));
    assert.equal(answer.body.errors.length, 1, answer.text);
  }
  const xml = { 'content-type': 'text/xml' };
  await refused(415, 'unsupported_media_type', () => api.post('/payments', '<payment/>', xml));
});

test('a body of more than 1 MiB', async () => {
  const description = 'x'.repeat(MIB);
  await refused(413, 'body_too_large', () => api.post('/payments', { ...VALID, description }));
  const chunks = async function* () {
    for (let sent = 0; sent <= MIB; sent += 65_536) yield ' '.repeat(65_536);
  };
  await refused(413, 'body_too_large', async () => {
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: chunks(), duplex: 'half' };
    const response = await fetch(`${api.url}/payments`, init as unknown as RequestInit);
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, body: JSON.parse(text) };
  });
});

test('a client that is still sending a body that is too large sees the answer, and its connection goes on', async (t) => {
  const { hostname, port } = new URL(api.url);
  const socket = connect(Number(port), hostname);
  t.after(() => socket.destroy());
  let received = '';
  socket.setEncoding('utf8').on('data', (text) => {
    received += text;
  });
  const answers = async (count: number): Promise<void> => {
    while (received.split('HTTP/1.1 ').length <= count) await once(socket, 'data');
  };
  const type = 'Host: localhost\r\nContent-Type: application/json\r\n';
  socket.write(`POST /api/v1/payments HTTP/1.1\r\n${type}Content-Length: ${4 * MIB}\r\n\r\n`);
  await answers(1);
  assert.match(received, /^HTTP\/1.1 413 .*body_too_large/s);
  for (let sent = 0; sent < 4; sent++) socket.write(' '.repeat(MIB));
  socket.write('GET /api/v1/payments HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await answers(2);
  assert.match(received, /HTTP\/1.1 200 /);
});

const AMOUNTS: readonly (readonly [text: string, code: string])[] = [
  ['1e400', 'invalid_amount'],
  ['-1e400', 'invalid_amount'],
  ['"NaN"', 'invalid_amount'],
  ['"Infinity"', 'invalid_amount'],
  ['"1e2"', 'invalid_amount'],
  ['"0x10"', 'invalid_amount'],
  ['" 1"', 'invalid_amount'],
  ['"1,50"', 'invalid_amount'],
  ['""', 'invalid_amount'],
  ['null', 'invalid_amount'],
  ['true', 'invalid_amount'],
  ['[1]', 'invalid_amount'],
  ['{"minor": 1}', 'invalid_amount'],
  ['0.001', 'amount_too_precise'],
  ['"0.001"', 'amount_too_precise'],
  ['1e-7', 'amount_too_precise'],
  ['100.00000000000000001', 'amount_too_precise'],
  ['-1', 'amount_not_positive'],
  ['"-0.01"', 'amount_not_positive'],
  ['0', 'amount_not_positive'],
  ['"0.00"', 'amount_not_positive'],
  ['-0', 'amount_not_positive'],
  ['90071992547409.92', 'amount_too_large'],
  ['"90071992547409.92"', 'amount_too_large'],
  ['9007199254740993', 'amount_too_large'],
  ['1e300', 'amount_too_large'],
  [`"${'9'.repeat(40)}"`, 'amount_too_large'],
];

test('an amount that is none, has too many decimals, is not positive, or past 2^53 minor units', async () => {
  for (const [amount, code] of AMOUNTS) {
    const answer = await refused(422, code, () => api.post('/payments', paymentText(amount)));
    assert.deepEqual(problemsOf(answer), [`amount ${code}`], amount);
  }
  await refused(422, 'amount_too_precise', () => api.post('/payments', paymentText('10.5', '"JPY"')));
});

test('amounts of 16 and more digits are taken exactly, as numbers and as text', async () => {
  for (const amount of ['90071992547409.91', '"90071992547409.91"', '"90071992547409.910000"', '90071992547409.910']) {
    assert.equal(await minorOf(paymentText(amount)), Number.MAX_SAFE_INTEGER, amount);
  }
  assert.equal(await minorOf(paymentText('70000000000000.03')), 7_000_000_000_000_003);
  assert.equal(await minorOf(paymentText('9007199254740991', '"JPY"')), Number.MAX_SAFE_INTEGER);
});

test('an unknown currency, in any spelling', async () => {
  for (const currency of ['"XYZ"', '"usd"', '""', '7', 'null', '"__proto__"', '"US"']) {
    const answer = await refused(422, 'unknown_currency', () => api.post('/payments', paymentText('1', currency)));
    assert.deepEqual(problemsOf(answer), ['currency unknown_currency']);
  }
});

test('every wrong field is listed, with what is wrong', async () => {
  const answer = await refused(422, 'invalid_request', () =>
    api.post('/payments', { amount: '-1', currency: 'XYZ', method: 'cash', customer_id: '', metadata: { a: 1 }, x: 1 }),
  );
  const fields = answer.body.errors.map(({ field }: { field: string }) => field);
  assert.deepEqual(fields.sort(), ['amount', 'currency', 'customer_id', 'metadata.a', 'method', 'x']);
  for (const { message, code } of answer.body.errors) assert.ok(message.length > 0 && code.length > 0);
  const empty = await refused(422, 'invalid_request', () => api.post('/payments', {}));
  const missing = empty.body.errors.map(({ field }: { field: string }) => field);
  assert.deepEqual(missing.sort(), ['amount', 'currency', 'customer_id', 'method']);
});

test('a card number where a token belongs is refused, and neither answered nor logged nor kept', async () => {
  const payment_token = '4111 1111 1111 1111';
  const answer = await refused(422, 'card_number_refused', () => api.post('/payments', { ...VALID, payment_token }));
  assert.doesNotMatch(answer.text, /1111/);
  assert.doesNotMatch(JSON.stringify(api.log), /1111 1111/);
});

test('an id that is no id, and one that nothing has', async () => {
  for (const id of ['1', 'x', '%00', '..%2F..', "'%20OR%201=1--", 'é', randomUUID().slice(1)]) {
    for (const path of [`/payments/${id}`, `/payments/${id}/refunds`, `/payments/${id}/timeline`]) {
      const answer = await api.get(path);
      assert.ok([404, 422].includes(answer.status), `${path}: ${answer.text}`);
      assert.match(answer.body.code, /^(invalid_id|invalid_request|not_found)$/, path);
    }
    await refused(422, id === '%00' ? 'invalid_request' : 'invalid_id', () =>
      api.post(`/payments/${id}/refunds`, { reason: 'test' }),
    );
  }
  await refused(404, 'payment_not_found', () => api.get(`/payments/${randomUUID()}`));
  await refused(404, 'payment_not_found', () => api.post(`/payments/${randomUUID()}/refunds`, { reason: 'test' }));
  await refused(404, 'dead_letter_not_found', () => api.post(`/api/v1/dlq/${randomUUID()}/replay`, {}));
  await refused(404, 'saga_not_found', () => api.post(`/api/v1/sagas/${randomUUID()}/retry`, {}));
});

test('a missing wallet', async () => {
  await refused(404, 'wallet_not_found', () => api.get('/wallets/nobody'));
  const movement = { amount: 1, reason: 'test', reference: 'r' };
  await refused(404, 'wallet_not_found', () => api.post('/wallets/nobody/credits', movement));
  await refused(404, 'wallet_not_found', () => api.post('/wallets/nobody/debits', movement));
  const payment = await pay(api, { method: 'wallet', customer_id: 'nobody' });
  assert.deepEqual([payment.status, payment.reason], ['DECLINED', 'wallet_not_found']);
});

test('a wallet in another currency', async () => {
  for (const kind of ['credits', 'debits']) {
    const movement = { amount: 1, currency: 'USD', reason: 'test', reference: kind };
    await refused(422, 'currency_mismatch', () => api.post(`/wallets/${euroUser}/${kind}`, movement));
  }
  const payment = await pay(api, { method: 'wallet', customer_id: euroUser, currency: 'USD' });
  assert.deepEqual([payment.status, payment.reason], ['DECLINED', 'currency_mismatch']);
  assert.equal(await balanceOf(api, euroUser), 10_000);
});

test('movements of a wallet with wrong fields, beyond its funds, or beyond what a balance may hold', async () => {
  const wrong = await refused(422, 'invalid_request', () => api.post(`/wallets/${euroUser}/credits`, { amount: 'x' }));
  assert.deepEqual(problemsOf(wrong).sort(), ['amount invalid_amount', 'reason required', 'reference required']);
  const debit = { amount: '100.01', reason: 'test', reference: 'too much' };
  await refused(422, 'insufficient_funds', () => api.post(`/wallets/${euroUser}/debits`, debit));
  const credit = { amount: '90071992547409.91', reason: 'test', reference: 'too large' };
  await refused(422, 'balance_too_large', () => api.post(`/wallets/${euroUser}/credits`, credit));
  await refused(409, 'wallet_already_exists', () => api.post('/wallets', { user_id: euroUser, currency: 'EUR' }));
});

test('the same reference for another movement', async () => {
  const first = { amount: 1, reason: 'test', reference: 'once' };
  assert.equal((await api.post(`/wallets/${euroUser}/credits`, first)).status, 201);
  await refused(409, 'reference_reused', () => api.post(`/wallets/${euroUser}/credits`, { ...first, amount: 2 }));
  const again = await api.post(`/wallets/${euroUser}/credits`, first);
  assert.deepEqual([again.status, again.headers.get('idempotency-replayed')], [201, 'true']);
  assert.equal(await balanceOf(api, euroUser), 10_100);
  await assertLedgerBalanced(api);
});

test('paths and methods that are not there', async () => {
  await refused(404, 'not_found', () => api.get('/nothing'));
  const answer = await refused(405, 'method_not_allowed', () => api.send('DELETE', '/payments'));
  assert.match(answer.headers.get('allow') ?? '', /POST/);
  await refused(422, 'invalid_cursor', () => api.get('/payments?cursor=x'));
  await refused(422, 'invalid_request', () => api.get('/payments?limit=0&status=DONE'));
});
