import { PAYMENTS_MADE } from './books.ts';
import { startLoad } from './load.ts';
import type { BenchServer } from './server.ts';
import { CURRENCY } from './wallets.ts';
import { type OnPhase, untilFilled, untilFinished } from './window.ts';

export interface FillOptions {
  /** The store is to hold so many events. */
  readonly events: number;
  readonly connections: number;
  readonly onPhase: OnPhase;
}

/** Of so many payments one has its completion measured: nobody asks for it here. */
const SAMPLE_EVERY = 10_000;

/**
 * Makes wallet payments until the store holds enough events, and all of them are final.
 * @param customers whose wallets pay
 * @returns the events that were stored when enough was reached, and the payments that were acknowledged
 */
export async function fillStore(
  server: BenchServer,
  customers: readonly string[],
  { events, connections, onPhase }: FillOptions,
): Promise<{ readonly events: number; readonly acknowledged: number }> {
  const plan = { method: 'wallet', hot: 0, customers, currency: CURRENCY } as const;
  const load = startLoad({ port: server.port, connections, sampleEvery: SAMPLE_EVERY, plan });
  try {
    const filled = await untilFilled(server, events, onPhase);
    const { acknowledged } = await load.stop();
    await untilFinished(server, PAYMENTS_MADE, acknowledged);
    return { events: filled, acknowledged };
  } finally {
    load.kill();
  }
}
