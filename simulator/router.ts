import type { IncomingHttpHeaders } from 'node:http';
import type { Charges, Outcome } from './charges.ts';
import type { FaultControl } from './faults.ts';
import type { HeldCalls } from './held-calls.ts';
import { type Checked, problem, type Reply } from './http.ts';
import { parseIdempotencyKey } from './input.ts';
import type { GatewayRecord } from './record.ts';
import type { Refunds } from './refunds.ts';
import type { Settlement } from './settlement.ts';
import type { Page } from './table.ts';
import { TOKENS } from './tokens.ts';
import { recordedChargeView, refundView } from './views.ts';
import type { Webhooks } from './webhooks.ts';

/** One request, its body read. */
export interface Call {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  readonly body: unknown;
}

export type Route = (call: Call) => Promise<Outcome>;

type Handler = (call: Call, id: string) => Outcome | Promise<Outcome>;

interface Parts {
  readonly record: GatewayRecord;
  readonly charges: Charges;
  readonly refunds: Refunds;
  readonly settlement: Settlement;
  readonly webhooks: Webhooks;
  readonly faults: FaultControl;
  readonly held: HeldCalls;
}

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 1_000;

/** Finds who answers a call: `/v1/…` is the gateway, the rest is the simulator itself. */
export function createRouter(parts: Parts): Route {
  const { record, charges, refunds, faults } = parts;

  const handlers: Readonly<Record<string, Readonly<Record<string, Handler>>>> = {
    '/v1/charges': {
      POST: (call) => withKey(call, (key) => charges.take(key, call.body)),
      GET: (call) => withKeyParameter(call, charges.byKey),
    },
    '/v1/charges/:id': { GET: (_call, id) => charges.byId(id) },
    '/v1/refunds': {
      POST: (call) => withKey(call, (key) => refunds.give(key, call.body)),
      GET: (call) => withKeyParameter(call, refunds.byKey),
    },
    '/v1/refunds/:id': { GET: (_call, id) => refunds.byId(id) },
    '/charges': { GET: (call) => list(call, record.chargePage, recordedChargeView) },
    '/refunds': { GET: (call) => list(call, record.refundPage, refundView) },
    '/faults': {
      GET: () => ok(faults.current()),
      POST: (call) => changed(faults.change(call.body)),
      DELETE: () => ok(faults.clear()),
    },
    '/reset': { POST: () => reset(parts) },
    '/health': { GET: () => health(parts) },
    '/': { GET: () => ok(overview(Object.keys(handlers))) },
  };

  return async function route(call) {
    const [path, id] = splitId(call.path);
    const methods = Object.hasOwn(handlers, path) ? handlers[path] : undefined;
    if (methods === undefined)
      return problem(404, 'path_not_found', 'there is nothing here; GET / lists what there is');
    const handler = methods[call.method];
    if (handler !== undefined) return handler(call, id);
    const allow = Object.keys(methods).join(', ');
    const refusal = problem(405, 'method_not_allowed', `this path takes ${allow}`);
    return { ...refusal, headers: { ...refusal.headers, allow } };
  };
}

function splitId(path: string): [path: string, id: string] {
  const match = /^(\/v1\/(?:charges|refunds)\/)([^/]+)$/.exec(path);
  return match === null ? [path, ''] : [`${match[1]}:id`, match[2] ?? ''];
}

function ok(body: object): Reply {
  return { status: 200, body };
}

function changed(result: Checked<object>): Reply {
  return result.ok ? ok(result.value) : result.refusal;
}

function withKey(call: Call, action: (key: string) => Promise<Outcome>): Outcome | Promise<Outcome> {
  const key = parseIdempotencyKey(call.headers['idempotency-key']);
  return key.ok ? action(key.value) : key.refusal;
}

function withKeyParameter(call: Call, find: (key: string) => Reply): Reply {
  const key = call.query.get('idempotency_key');
  if (key !== null) return find(key);
  return problem(400, 'idempotency_key_missing', 'add ?idempotency_key=… with the key of the call that made it');
}

function list<T>(
  call: Call,
  pageOf: (cursor: string | null, limit: number) => Page<T> | undefined,
  view: (item: T) => object,
): Reply {
  const limit = Number(call.query.get('limit') ?? DEFAULT_LIMIT);
  const page =
    Number.isInteger(limit) && limit >= 1 && limit <= MAX_LIMIT ? pageOf(call.query.get('cursor'), limit) : undefined;
  if (page !== undefined) return ok({ data: page.items.map(view), next_cursor: page.nextCursor });
  const detail = `limit must be a whole number from 1 to ${MAX_LIMIT}, cursor the next_cursor of an earlier page`;
  return problem(422, 'invalid_request', detail);
}

/** Forgets all charges and refunds, and what is still to come of them; faults stay as they are. */
function reset({ record, charges, settlement, webhooks }: Parts): Reply {
  const cleared = { charges: record.charges.size(), refunds: record.refunds.size() };
  settlement.clear();
  webhooks.clear();
  charges.clear();
  record.clear();
  return ok({ cleared });
}

function health({ record, held, faults, webhooks }: Parts): Reply {
  return ok({
    status: 'healthy',
    timestamp: new Date().toISOString(),
    charges: record.charges.size(),
    refunds: record.refunds.size(),
    held_calls: held.size(),
    faults: faults.current(),
    webhooks: webhooks.counters(),
  });
}

function overview(paths: readonly string[]): object {
  const tokens = [...TOKENS.values()].map(({ name, description }) => [name, description]);
  return { name: 'Caudal gateway simulator', paths, payment_tokens: Object.fromEntries(tokens) };
}
