import http from 'node:http';
import https from 'node:https';
import type { Log } from './log.ts';
import type { Settings } from './settings.ts';
import { SIGNATURE_HEADER, sign } from './signature.ts';
import { createTimers } from './timers.ts';

/** What a webhook tells. Its id is the same each time it is sent. */
export interface WebhookEvent {
  readonly id: string;
  readonly type: string;
  readonly created_at: string;
  readonly data: object;
}

/** Counts since the start; `queued` is now: waiting, on their way, or due for a retry. */
export interface WebhookCounters {
  readonly queued: number;
  readonly delivered: number;
  readonly retried: number;
  readonly given_up: number;
  readonly dropped: number;
}

export interface Webhooks {
  /** Sends the event after `delayMs`; dropped and counted when too many are queued. Does nothing without a secret. */
  send(event: WebhookEvent, delayMs?: number): void;
  /** @throws Error when it is not an http or https address */
  setUrl(url: string): void;
  counters(): WebhookCounters;
  /** Forgets what is queued; what is on its way is not called back. */
  clear(): void;
  /** Forgets what is queued and cuts what is on its way. */
  stop(): void;
}

interface Delivery {
  readonly event: WebhookEvent;
  readonly body: string;
  attempts: number;
}

/**
 * @param now milliseconds since 1970; the time that signatures carry
 * @throws Error when `webhookUrl` is not an http or https address
 */
export function createWebhooks(settings: Settings, now: () => number, log: Log): Webhooks {
  const { webhookSecret: secret, webhookConcurrency, webhookMaxQueued, webhookMaxAttempts } = settings;
  const timers = createTimers();
  const agents = { keepAlive: true, maxSockets: webhookConcurrency };
  const [plainAgent, secureAgent] = [new http.Agent(agents), new https.Agent(agents)];
  const counts = { delivered: 0, retried: 0, given_up: 0, dropped: 0 };
  let url = parseUrl(settings.webhookUrl);
  let ready: Delivery[] = [];
  let queued = 0;
  let onTheirWay = 0;
  let round = 0;
  let overflowing = false;

  function send(event: WebhookEvent, delayMs = 0): void {
    if (!secret) return;
    if (queued < webhookMaxQueued) {
      overflowing = false;
      queued += 1;
      makeReady({ event, body: JSON.stringify(event), attempts: 0 }, delayMs);
    } else {
      if (!overflowing) log('warn', 'the webhook queue is full; webhooks are dropped', { queued });
      overflowing = true;
      counts.dropped += 1;
    }
  }

  function makeReady(delivery: Delivery, delayMs: number): void {
    timers.after(delayMs, () => {
      ready.push(delivery);
      startNext();
    });
  }

  function startNext(): void {
    while (onTheirWay < webhookConcurrency && ready.length > 0) {
      const delivery = ready.shift();
      if (delivery !== undefined) void attempt(delivery);
    }
  }

  async function attempt(delivery: Delivery): Promise<void> {
    const startedIn = round;
    onTheirWay += 1;
    delivery.attempts += 1;
    const failure = await post(delivery.body);
    onTheirWay -= 1;
    if (startedIn === round) finish(delivery, failure);
    startNext();
  }

  function finish(delivery: Delivery, failure: string | undefined): void {
    const { event, attempts } = delivery;
    if (failure === undefined) {
      queued -= 1;
      counts.delivered += 1;
    } else if (attempts < webhookMaxAttempts) {
      counts.retried += 1;
      const wait = settings.webhookRetryBaseMs * 2 ** (attempts - 1);
      makeReady(delivery, Math.min(wait, settings.webhookRetryMaxMs));
    } else {
      queued -= 1;
      counts.given_up += 1;
      log('warn', 'a webhook was given up', { event: event.id, type: event.type, attempts, error: failure });
    }
  }

  /** One try; gives what went wrong, `undefined` when the receiver answered 2xx. */
  function post(body: string): Promise<string | undefined> {
    const secure = url.protocol === 'https:';
    const headers = {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(body),
      [SIGNATURE_HEADER]: sign(secret ?? '', body, now()),
    };
    const signal = AbortSignal.timeout(settings.webhookTimeoutMs);
    const options = { method: 'POST', headers, signal, agent: secure ? secureAgent : plainAgent };
    return new Promise((resolve) => {
      const request = (secure ? https : http).request(url, options, (response) => {
        const status = response.statusCode ?? 0;
        response.resume();
        response.on('close', () => resolve(status >= 200 && status < 300 ? undefined : `answered ${status}`));
      });
      request.on('error', (error) => resolve(signal.aborted ? 'no answer in time' : error.message));
      request.end(body);
    });
  }

  function clear(): void {
    timers.clear();
    ready = [];
    queued = 0;
    round += 1;
  }

  function stop(): void {
    clear();
    plainAgent.destroy();
    secureAgent.destroy();
  }

  function setUrl(next: string): void {
    url = parseUrl(next);
  }

  return { send, setUrl, counters: () => ({ queued, ...counts }), clear, stop };
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url;
  throw new Error(`webhooks cannot be sent to "${text}": CAUDAL_WEBHOOK_URL must be an http or https address`);
}
