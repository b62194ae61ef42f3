import { randomInt } from 'node:crypto';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createCharges, type Outcome } from './charges.ts';
import { createFaults, type Fate } from './faults.ts';
import { createHeldCalls } from './held-calls.ts';
import { problem, readJson, send } from './http.ts';
import { type Journal, noJournal, openJournal } from './journal.ts';
import { listen } from './listen.ts';
import { type Log, logToStderr } from './log.ts';
import { createRecord } from './record.ts';
import { createRefunds } from './refunds.ts';
import { type Call, createRouter } from './router.ts';
import { type Settings, withDefaults } from './settings.ts';
import { createSettlement } from './settlement.ts';
import { createTimers } from './timers.ts';
import { createWebhooks } from './webhooks.ts';

export interface SimulatorOptions extends Partial<Settings> {
  /** The time in milliseconds since 1970, for `created_at` and signatures; the system's by default. */
  readonly now?: () => number;
  /** Where messages go; JSON lines on standard error by default. */
  readonly log?: Log;
}

export interface Simulator {
  /**
   * Reads the record back, goes on with what was pending, and listens.
   * @throws Error that names the file when the record cannot be read, or the setting when no port is free
   */
  start(): Promise<{ port: number; url: string }>;
  /** Sends webhooks there from now on, for receivers whose port is known only after the simulator's. */
  setWebhookUrl(url: string): void;
  /** Stops listening, cuts open connections and ends every timer; what was pending goes on after the next start. */
  stop(): Promise<void>;
}

/**
 * A card gateway that does what the card token says. Several can run in one process; each has one life, so that a
 * stopped one is not started again.
 */
export function createSimulator(options: SimulatorOptions = {}): Simulator {
  const { now = Date.now, log = logToStderr, ...given } = options;
  const settings = withDefaults(given);
  let journal: Journal = noJournal;
  let stopped: Promise<void> | undefined;
  const currentJournal = (): Journal => journal;
  const record = createRecord(settings, currentJournal);
  const webhooks = createWebhooks(settings, now, log);
  const settlement = createSettlement({ settings, record, webhooks, journal: currentJournal, now });
  const desk = { settings, record, settlement, now };
  const charges = createCharges(desk);
  const refunds = createRefunds(desk);
  const faults = createFaults(randomInt(2 ** 32));
  const held = createHeldCalls(settings);
  const latency = createTimers();
  const route = createRouter({ record, charges, refunds, settlement, webhooks, faults, held });
  const server = http.createServer((request, response) => void handle(request, response));

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const isGatewayCall = request.url?.startsWith('/v1/') === true;
      if (isGatewayCall && faults.current().latency_ms > 0) await latency.sleep(faults.current().latency_ms);
      const fate = isGatewayCall ? faults.draw() : 'none';
      if (!meetsFate(fate, response)) conclude(await carryOut(request), fate, response);
    } catch (error) {
      log('error', 'a call could not be carried out', { method: request.method, error: String(error) });
      send(response, problem(500, 'internal_error', 'the simulator failed; its log says why'));
    }
  }

  async function carryOut(request: IncomingMessage): Promise<Outcome> {
    const body = await readJson(request, settings.maxBodyBytes);
    if (!body.ok) return body.refusal;
    const outcome = await route(toCall(request, body.value));
    await journal.flushed();
    return outcome;
  }

  function conclude(outcome: Outcome, fate: Fate, response: ServerResponse): void {
    if (fate === 'drop_after') response.destroy();
    else if (outcome === 'never') held.hold(response);
    else send(response, outcome);
  }

  async function start(): Promise<{ port: number; url: string }> {
    try {
      if (settings.dataFile !== undefined) journal = await openJournal(settings.dataFile, record.restore, log);
      settlement.resume();
      await listen(server, settings);
    } catch (error) {
      await stop();
      throw error;
    }
    const { port } = server.address() as AddressInfo;
    const host = settings.host.includes(':') ? `[${settings.host}]` : settings.host;
    return { port, url: `http://${host}:${port}` };
  }

  function stop(): Promise<void> {
    stopped ??= shutDown();
    return stopped;
  }

  async function shutDown(): Promise<void> {
    const closed = new Promise((resolve) => server.close(resolve));
    settlement.clear();
    latency.clear();
    held.clear();
    await Promise.allSettled([journal.flushed()]);
    webhooks.stop();
    server.closeAllConnections();
    await closed;
    await journal.close();
  }

  return { start, setWebhookUrl: webhooks.setUrl, stop };
}

/** Whether the fault decided the call, which is then not carried out. */
function meetsFate(fate: Fate, response: ServerResponse): boolean {
  if (fate === 'drop_before') response.destroy();
  else if (fate === 'error')
    send(response, problem(500, 'gateway_error', 'a fault is set: error_rate; nothing was done'));
  else if (fate === 'unavailable') {
    const refusal = problem(503, 'gateway_unavailable', 'a fault is set: outage; nothing was done');
    send(response, { ...refusal, headers: { ...refusal.headers, 'retry-after': '1' } });
  } else return false;
  return true;
}

function toCall(request: IncomingMessage, body: unknown): Call {
  const { method = '', url = '', headers } = request;
  const [path = '', query] = url.split('?', 2);
  return { method, path, query: new URLSearchParams(query), headers, body };
}
