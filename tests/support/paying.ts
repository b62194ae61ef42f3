import assert from 'node:assert/strict';
import type { Api } from './api.ts';

/** Clients at work. */
export interface Paying {
  /** The payments made so far. */
  readonly ids: readonly string[];
  /** @returns when so many more payments were made */
  more(count: number): Promise<void>;
  stop(): Promise<void>;
}

/** Starts clients that pay one payment after another, every second one of them by wallet and the others by card. */
export function startPaying(api: Api, user: string, clients: number): Paying {
  const ids: string[] = [];
  let stopping = false;
  const client = async (n: number): Promise<void> => {
    const method = n % 2 === 0 ? 'wallet' : 'credit_card';
    while (!stopping) {
      const payment = { amount: '0.01', currency: 'USD', method, customer_id: user };
      const { status, body, text } = await api.post('/payments', payment);
      assert.equal(status, 201, text);
      ids.push(body.id);
    }
  };
  const working = Array.from({ length: clients }, (_, n) => client(n));
  return {
    ids,
    more: async (count) => {
      const wanted = ids.length + count;
      while (ids.length < wanted) await Promise.race([...working, new Promise((resolve) => setTimeout(resolve, 10))]);
    },
    stop: async () => {
      stopping = true;
      await Promise.all(working);
    },
  };
}
