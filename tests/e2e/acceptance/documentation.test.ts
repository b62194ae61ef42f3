import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startPlatform } from '../../support/platform.ts';

const { api } = await startPlatform();
const METHODS = ['get', 'post', 'put', 'patch', 'delete'];
const PARAMETERS: Readonly<Record<string, string>> = {
  id: '019f0000-0000-7000-8000-000000000000',
  gateway: 'simulator',
};

interface Operation {
  readonly summary?: string;
  readonly tags?: readonly string[];
  readonly responses: Readonly<Record<string, { readonly description: string }>>;
}
type Paths = Readonly<Record<string, Readonly<Record<string, Operation>>>>;

/** Every operation of the document as method, path and what it says of it. */
function operationsOf(paths: Paths): readonly (readonly [method: string, path: string, operation: Operation])[] {
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item)
      .filter(([method]) => METHODS.includes(method))
      .map(([method, operation]) => [method.toUpperCase(), path, operation] as const),
  );
}

/** Every `$ref` in a document. */
function refsOf(value: unknown): readonly string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, part]) =>
    key === '$ref' && typeof part === 'string' ? [part] : refsOf(part),
  );
}

function resolve(document: unknown, ref: string): unknown {
  return ref
    .slice('#/'.length)
    .split('/')
    .reduce((part, name) => (part as Record<string, unknown> | undefined)?.[name], document);
}

test('the OpenAPI 3.1 document is whole', async () => {
  const { status, body } = await api.get('/openapi.json');
  assert.equal(status, 200);
  assert.match(body.openapi, /^3\.1\.\d$/);
  assert.ok(body.info.title.length > 0 && body.info.version.length > 0);
  for (const ref of refsOf(body)) assert.notEqual(resolve(body, ref), undefined, ref);
  for (const [method, path, { summary, tags, responses }] of operationsOf(body.paths)) {
    const name = `${method} ${path}`;
    assert.ok(summary !== undefined && tags?.length === 1, name);
    assert.ok(
      Object.keys(responses).some((code) => code.startsWith('2')),
      name,
    );
    for (const [code, response] of Object.entries(responses))
      assert.ok(response.description !== undefined, `${name} ${code}`);
  }
});

test('every documented operation answers, with a status that is documented', async () => {
  const { body } = await api.get('/openapi.json');
  const operations = operationsOf(body.paths);
  assert.ok(operations.length > 30);
  for (const [method, path, { responses }] of operations) {
    const at = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => PARAMETERS[name]!);
    const { status, body: answer } = await api.send(method, at, method === 'GET' ? undefined : {});
    assert.ok(Object.keys(responses).includes(String(status)), `${method} ${path} answered ${status}`);
    if (status >= 400) assert.notEqual(answer.code, 'not_found', `${method} ${path}`);
  }
});

test('what the contract lists is documented, and answers without the base path where that is promised', async () => {
  const { paths } = (await api.get('/openapi.json')).body;
  for (const path of ['/health', '/health/live', '/health/ready', '/metrics']) assert.ok(path in paths, path);
  for (const path of ['/payments', '/wallets', '/health', '/metrics']) assert.equal((await api.get(path)).status, 200);
  for (const path of [
    '/payments',
    '/payments/{id}',
    '/payments/{id}/timeline',
    '/payments/{id}/refunds',
    '/payments/batch',
    '/wallets',
    '/wallets/{id}',
    '/wallets/{id}/credits',
    '/wallets/{id}/debits',
    '/wallets/{id}/transactions',
    '/wallets/{id}/balance',
    '/wallets/refund',
    '/ledger/accounts',
    '/ledger/trial-balance',
    '/dlq',
    '/dlq/{id}',
    '/dlq/{id}/replay',
    '/dlq/{id}/discard',
    '/dlq/replay',
    '/sagas',
    '/sagas/{id}/retry',
    '/sagas/{id}/compensate',
    '/config',
    '/rates',
  ]) {
    assert.ok(`/api/v1${path}` in paths, path);
  }
});

test('what is static says how long it may be kept', async () => {
  for (const [path, seconds] of [
    ['/api/v1/config', 3600],
    ['/api/v1/rates', 300],
    ['/openapi.json', 86_400],
    ['/docs/', 86_400],
  ] as const) {
    const { status, headers } = await api.get(path);
    assert.equal(status, 200, path);
    assert.match(headers.get('cache-control') ?? '', new RegExp(`max-age=${seconds}$`), path);
  }
  const { body } = await api.get('/api/v1/config');
  assert.ok(
    body.currencies.some(({ code, decimals }: { code: string; decimals: number }) => code === 'JPY' && decimals === 0),
  );
});

test('/docs is a page whose parts all come from this server', async () => {
  const page = await api.get('/docs');
  assert.equal(page.status, 200);
  assert.match(page.headers.get('content-type') ?? '', /^text\/html/);
  assert.doesNotMatch(page.text, /(?:src|href)="https?:/);
  const parts = [...page.text.matchAll(/(?:src|href)="\.?\/?([^"]+)"/g)].map(([, part]) => part!);
  assert.ok(parts.length > 0);
  for (const part of parts) {
    const path = part.startsWith('docs/') ? `/${part}` : `/docs/${part}`;
    assert.equal((await api.get(path)).status, 200, path);
  }
});
