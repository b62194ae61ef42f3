import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createSimulator, type Simulator, type SimulatorOptions } from './server.ts';

/** What tests of the simulator share: a running one, a client, and a receiver of webhooks. */

export type Json = any;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Json;
}

export interface Client {
  readonly url: string;
  request(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
    signal?: AbortSignal,
  ): Promise<Answer>;
  get(path: string): Promise<Answer>;
  /** `POST /v1/charges` of 10.00 USD for payment `pay-<key>`, but for what `fields` change. */
  charge(key: string, fields?: object, signal?: AbortSignal): Promise<Answer>;
  /** `POST /v1/refunds` in USD with the reference `ref-<key>`. */
  refund(key: string, fields: object, signal?: AbortSignal): Promise<Answer>;
}

export interface Running extends Client {
  readonly simulator: Simulator;
  /** Every message that was logged, as text. */
  readonly logged: string[];
}

export const SECRET = 'a-secret-for-tests';

const QUICK = {
  host: '127.0.0.1',
  port: 0,
  slowMs: 20,
  asyncMs: 20,
  lateMs: 20,
  webhookRetryBaseMs: 5,
  webhookSecret: SECRET,
};

/** A simulator on a free port with short delays; it ends with the test. */
export async function startSimulator(t: TestContext, options: SimulatorOptions = {}): Promise<Running> {
  const logged: string[] = [];
  const log = (level: string, message: string, fields: object = {}): void => {
    logged.push(`${level} ${message} ${JSON.stringify(fields)}`);
  };
  const simulator = createSimulator({ ...QUICK, log, ...options });
  const { url } = await simulator.start();
  t.after(() => simulator.stop());
  return { simulator, logged, ...createClient(url) };
}

export function createClient(url: string): Client {
  async function request(
    method: string,
    path: string,
    body?: unknown,
    headers = {},
    signal?: AbortSignal,
  ): Promise<Answer> {
    const init: RequestInit = { method, headers: { 'content-type': 'application/json', ...headers } };
    if (body !== undefined) init.body = typeof body === 'string' ? body : JSON.stringify(body);
    if (signal !== undefined) init.signal = signal;
    const response = await fetch(url + path, init);
    return { status: response.status, headers: response.headers, body: await response.json() };
  }

  return {
    url,
    request,
    get: (path) => request('GET', path),
    charge: (key, fields = {}, signal) => {
      const body = { amount_minor: 1000, currency: 'USD', reference: `pay-${key}`, ...fields };
      return request('POST', '/v1/charges', body, { 'Idempotency-Key': key }, signal);
    },
    refund: (key, fields, signal) => {
      const body = { currency: 'USD', reference: `ref-${key}`, ...fields };
      return request('POST', '/v1/refunds', body, { 'Idempotency-Key': key }, signal);
    },
  };
}

/**
 * Makes a call that is never answered, gives it up once the simulator holds it, and tells whether that is what happened.
 */
export async function giveUp(client: Client, call: (signal: AbortSignal) => Promise<Answer>): Promise<boolean> {
  const abort = new AbortController();
  const outcome = call(abort.signal).then(
    () => 'answered',
    () => 'not answered',
  );
  await until(async () => (await client.get('/health')).body.held_calls === 1);
  abort.abort();
  await until(async () => (await client.get('/health')).body.held_calls === 0);
  return (await outcome) === 'not answered';
}

export interface Received {
  readonly signature: string;
  readonly text: string;
  readonly event: Json;
}

export interface Receiver {
  readonly url: string;
  /** Webhooks in the order of their arrival. */
  readonly received: Received[];
  /** The first `count` webhooks, once that many have come. */
  first(count: number): Promise<Received[]>;
}

/** A receiver of webhooks on a free port; `statusOf` chooses the answer to the nth one, from 0. */
export async function startReceiver(t: TestContext, statusOf: (nth: number) => number = () => 204): Promise<Receiver> {
  const received: Received[] = [];
  const server = http.createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    response.writeHead(statusOf(received.length)).end();
    received.push({ signature: String(request.headers['caudal-signature']), text, event: JSON.parse(text) });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  async function first(count: number): Promise<Received[]> {
    await until(() => received.length >= count);
    return received.slice(0, count);
  }
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, received, first };
}

/** Waits until the condition holds; fails after 20 s, so that a test that cannot pass ends. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 20_000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited in vain for: ${condition}`);
    await sleep(5);
  }
}
