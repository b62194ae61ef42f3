import { setTimeout as sleep } from 'node:timers/promises';
import type { Book } from './book.ts';
import type { Client } from './client.ts';
import type { ShownPayment } from './evidence.ts';
import type { Harness, Server } from './harness.ts';

const LIMIT_MS = 180_000;
const POLL_MS = 100;

/**
 * Makes a payment and waits for its end. @param when for messages @param through the server that is asked; else any
 * @returns after how many milliseconds it was accepted
 * @throws Error when the end does not come, or is not what it must be
 */
export type Probe = (when: string, through?: Server) => Promise<number>;

interface Ports {
  readonly client: Client;
  readonly book: Book;
  readonly harness: Harness;
}

export function createProbe({ client, book, harness }: Ports): Probe {
  let probes = 0;
  return async (when, through) => {
    const deadline = Date.now() + LIMIT_MS;
    const overdue = () => Date.now() > deadline || harness.crashes.length > 0;
    const key = `probe-${probes++}`;
    const body = { amount: '0.01', currency: 'USD', method: 'wallet', customer_id: 'user-0', metadata: { key } };
    const request = { key, path: '/payments', body };
    const operation = { kind: 'payment', request, userId: 'user-0', amountMinor: 1, method: 'wallet' } as const;
    const sent = performance.now();
    const answer = await client.send(request, overdue, through?.url);
    if (answer === undefined) throw new Error(`no payment was accepted ${when}`);
    const acceptedAfter = Math.round(performance.now() - sent);
    book.note(operation, answer);
    const id = answer.body.id!;
    for (;;) {
      const { status, reason } = await paymentAt(client, id, through);
      if (status === 'FAILED') throw new Error(`payment ${id} was given up ${when}: ${reason}`);
      if (status !== 'PENDING') return acceptedAfter;
      if (overdue()) throw new Error(`payment ${id} has no final status ${when}`);
      await sleep(POLL_MS);
    }
  };
}

async function paymentAt(
  client: Client,
  id: string,
  through?: Server,
): Promise<Pick<ShownPayment, 'status' | 'reason'>> {
  try {
    return await client.get<ShownPayment>(`/payments/${id}`, through?.url);
  } catch {
    // It may be out of reach for a moment yet; the limit of the caller ends the wait.
    return { status: 'PENDING', reason: null };
  }
}
