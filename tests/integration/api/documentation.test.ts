import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { ERRORS } from '#kernel/core/errors.ts';
import { type InjectedApi, startInjectedApi } from '../../support/injected-api.ts';

const SOURCE = join(import.meta.dirname, '../../../src');

/** What the contract promises for payments, wallets and operators: method and path. */
const PROMISED = [
  'post /payments',
  'get /payments',
  'get /payments/{id}',
  'get /payments/{id}/timeline',
  'post /payments/{id}/refunds',
  'get /payments/{id}/refunds',
  'post /payments/batch',
  'post /wallets',
  'get /wallets',
  'get /wallets/{id}',
  'post /wallets/{id}/credits',
  'post /wallets/{id}/debits',
  'get /wallets/{id}/transactions',
  'get /wallets/{id}/balance',
  'post /wallets/refund',
  'get /ledger/accounts',
  'get /ledger/trial-balance',
  'get /dlq',
  'get /dlq/{id}',
  'post /dlq/{id}/replay',
  'post /dlq/{id}/discard',
  'post /dlq/replay',
  'get /sagas',
  'post /sagas/{id}/retry',
  'post /sagas/{id}/compensate',
  'get /config',
  'get /rates',
];

describe('the documentation of the API', () => {
  let api: InjectedApi;
  let document: any;
  before(async () => {
    api = await startInjectedApi();
    document = (await api.get('/openapi.json')).body;
  });
  after(() => api.close());

  const operations = (): [string, any][] =>
    Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods as object).map(([method, operation]): [string, object] => [
        `${method} ${path}`,
        operation,
      ]),
    );

  test('is OpenAPI 3.1 and has every operation once, with a summary', () => {
    assert.match(document.openapi, /^3\.1\./);
    const names = operations().map(([name]) => name);
    for (const promised of PROMISED) assert.ok(names.includes(promised.replace(' ', ' /api/v1')), promised);
    for (const health of ['/health', '/health/live', '/health/ready', '/metrics'])
      assert.ok(names.includes(`get ${health}`));
    assert.ok(!names.includes('post /payments'), 'the paths without base are not documented twice');
    for (const [name, operation] of operations()) assert.ok(operation.summary, `${name} has no summary`);
  });

  test('every operation of the base path has a success and errors, each with an example', () => {
    for (const [name, operation] of operations()) {
      if (!name.includes('/api/v1')) continue;
      const statuses = Object.keys(operation.responses);
      assert.ok(
        statuses.some((status) => status.startsWith('2')),
        name,
      );
      for (const status of statuses.filter((status) => status >= '400')) {
        const { schema, examples } = operation.responses[status].content['application/problem+json'];
        assert.deepEqual(schema, { $ref: '#/components/schemas/Problem' });
        for (const [code, example] of Object.entries(
          examples as Record<string, { value: { code: string; status: number } }>,
        )) {
          assert.deepEqual([example.value.code, String(example.value.status)], [code, status]);
        }
      }
      const body = operation.requestBody?.content['application/json'];
      if (body !== undefined) assert.ok(body.example ?? body.schema.examples, `${name} has no example`);
      if (name.startsWith('post')) {
        assert.ok(
          operation.parameters.some((parameter: { name: string }) => parameter.name === 'idempotency-key'),
          name,
        );
      }
    }
  });

  test('every error code is in the table of errors and in the schema of problems, with its status', () => {
    for (const [code, [status, meaning]] of Object.entries(ERRORS)) {
      assert.ok(document.info.description.includes(`| \`${code}\` | ${status} | ${meaning} |`), code);
    }
    assert.deepEqual(document.components.schemas.Problem.properties.code.enum, Object.keys(ERRORS));
  });

  test('every code that the program refuses with is in the table, and every code of the table is used', () => {
    const files = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' }).filter(
      (name) => name.endsWith('.ts') && !name.endsWith('.test.ts') && !name.endsWith('core/errors.ts'),
    );
    const texts = files.map((name) => readFileSync(join(SOURCE, name), 'utf8'));
    for (const text of texts) {
      for (const [, code] of text.matchAll(/\b(?:refuse|new RequestError)\(\s*'([a-z_]+)'/g))
        assert.ok(code! in ERRORS, code);
    }
    const all = texts.join('\n');
    const unused = Object.keys(ERRORS).filter((code) => !all.includes(`'${code}'`) && !all.includes(`ERRORS.${code}`));
    assert.deepEqual(unused, []);
  });

  test('the page and all it needs come from this server, and may be kept for a day', async () => {
    const { status, text, headers } = await api.get('/docs');
    assert.equal(status, 200);
    assert.equal(headers['cache-control'], 'public, max-age=86400');
    for (const [, asset] of text.matchAll(/(?:src|href)="([^"]+)"/g)) {
      assert.match(asset!, /^\//);
      assert.equal((await api.get(asset!)).status, 200, asset);
    }
    assert.equal((await api.get('/openapi.json')).headers['cache-control'], 'public, max-age=86400');
  });

  test('the public settings may be kept for an hour', async () => {
    const { headers, body } = await api.get('/api/v1/config');
    assert.equal(headers['cache-control'], 'public, max-age=3600');
    assert.deepEqual(
      body.currencies.find(({ code }: { code: string }) => code === 'KWD'),
      { code: 'KWD', decimals: 3 },
    );
    assert.deepEqual(body.methods, ['wallet', 'credit_card', 'debit_card']);
    assert.equal(typeof body.settings.topology, 'string');
  });

  test('a trace is continued, and every answer tells it', async () => {
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
    const traced = await api.get('/health', { traceparent: `00-${traceId}-00f067aa0ba902b7-01` });
    assert.equal(traced.headers['x-trace-id'], traceId);
    assert.match(String(traced.headers.traceparent), new RegExp(`^00-${traceId}-[0-9a-f]{16}-01$`));
    for (const wrong of ['00-xyz', `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`, `ff-${traceId}-00f067aa0ba902b7-01`]) {
      const { headers } = await api.get('/nothing', { traceparent: wrong });
      assert.match(String(headers['x-trace-id']), /^[0-9a-f]{32}$/);
      assert.notEqual(headers['x-trace-id'], traceId);
    }
  });
});
