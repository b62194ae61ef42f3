import { type Client, createClient } from '../../src/cli/client.ts';
import { createLanes } from '../../src/cli/lanes.ts';

export const CURRENCY = 'USD';
const OPENING = '10000000000.00';
const OPENING_MINOR = 1_000_000_000_000;
const CONNECTIONS = 32;

/** The users of so many wallets. */
export function customersOf(wallets: number): readonly string[] {
  return Array.from({ length: wallets }, (_, i) => `bench-${String(i + 1).padStart(5, '0')}`);
}

/**
 * Opens a wallet for each, with more money than any load spends.
 * @returns the balance of each, minor units
 */
export async function openWallets(url: string, customers: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const client = createClient(url, CONNECTIONS);
  const lanes = createLanes(CONNECTIONS);
  for (const customer of customers) await lanes.put(customer, () => openWallet(client, customer));
  await lanes.finish();
  client.close();
  return new Map(customers.map((customer) => [customer, OPENING_MINOR]));
}

async function openWallet(client: Client, customer: string): Promise<void> {
  await client.post('/wallets', { user_id: customer, currency: CURRENCY });
  await client.post(`/wallets/${customer}/credits`, { amount: OPENING, reason: 'deposit', reference: 'opening' });
}
