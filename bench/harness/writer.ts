import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from '../../src/cli/client.ts';
import { createHistogram, type Percentiles, percentilesOf } from '../load/histogram.ts';
import { whenNobodyAnswers } from './recorded-load.ts';
import { CURRENCY } from './wallets.ts';

export interface WriterOptions {
  readonly url: string;
  readonly perSecond: number;
  /** The write of this number, from 0. */
  requestOf(number: number): readonly [method: string, path: string, body: object];
  /** @param answer the body */
  onAccepted?(answer: unknown): void;
}

/** What came of the writes that were made beside something else. */
export interface WriterReport extends Percentiles {
  readonly accepted: number;
  readonly errors: number;
  /** Not sent, since too many were unanswered at their moment. */
  readonly skipped: number;
}

/** Writes at a steady rate. */
export interface RunningWriter {
  /** Ends it after the last answer. */
  stop(): Promise<WriterReport>;
}

const CONNECTIONS = 128;
const MAX_UNANSWERED = 2000;
const TICK_MS = 2;
const AMOUNT = 1.25;
const LAST_SUCCESS = 299;

/** A wallet payment of one of the customers in turn. */
export function paymentOf(customers: readonly string[], number: number): ReturnType<WriterOptions['requestOf']> {
  const customer_id = customers[number % customers.length]!;
  return ['POST', '/payments', { amount: AMOUNT, currency: CURRENCY, method: 'wallet', customer_id }];
}

/**
 * Writes at a steady rate, whether earlier writes are answered or not: each has its moment, from which its duration counts, so
 * that a slow server is not spared what came meanwhile.
 */
export function startWriter({ url, perSecond, requestOf, onAccepted }: WriterOptions): RunningWriter {
  const client = createClient(url, CONNECTIONS);
  const histogram = createHistogram();
  const counts = { accepted: 0, errors: 0, skipped: 0 };
  const unanswered = new Set<Promise<void>>();
  let stopping = false;

  const write = async (number: number, due: number): Promise<void> => {
    const [method, path, body] = requestOf(number);
    const answer = await client.send(method, path, { body }).catch(whenNobodyAnswers);
    if (answer === undefined || answer.status > LAST_SUCCESS) {
      counts.errors += 1;
      return;
    }
    counts.accepted += 1;
    histogram.record(performance.now() - due);
    onAccepted?.(answer.body);
  };
  const send = (number: number, due: number): void => {
    if (unanswered.size >= MAX_UNANSWERED) {
      counts.skipped += 1;
      return;
    }
    const sent = write(number, due).finally(() => unanswered.delete(sent));
    unanswered.add(sent);
  };
  const run = async (): Promise<void> => {
    const started = performance.now();
    for (let number = 0; !stopping; await sleep(TICK_MS)) {
      const dueBy = perSecond === 0 ? 0 : Math.floor(((performance.now() - started) / 1000) * perSecond);
      for (; number < dueBy; number++) send(number, started + (number / perSecond) * 1000);
    }
    await Promise.all(unanswered);
  };

  const finished = run();
  return {
    stop: async () => {
      stopping = true;
      await finished;
      client.close();
      return { ...counts, ...percentilesOf(histogram) };
    },
  };
}
