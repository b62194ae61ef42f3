import type { Sql } from '#kernel/postgres/sql.ts';
import type { RecordedCharge } from '#services/gateway/reconciliation.ts';
import type { Client } from './client.ts';
import { type History, readHistory } from './history.ts';

const PAGE = 1000;
const CALL_LIMIT_MS = 20_000;

/** What is read of the API's answers. Amounts in minor units. */
export interface ShownPayment {
  readonly id: string;
  readonly status: string;
  readonly reason: string | null;
  readonly amount_minor: number;
  readonly refunded_minor: number;
}
export interface ShownWallet {
  readonly id: string;
  readonly user_id: string;
  readonly balance_minor: number;
}
interface StuckSaga {
  readonly payment_id: string;
  readonly state: string;
  readonly stuck_reason: string | null;
}
interface DeadLetter {
  readonly consumer: string;
  readonly error: string;
}
interface Failure extends DeadLetter {
  readonly type: string;
  readonly status: string;
}
interface Page<Item> {
  readonly data: readonly Item[];
  readonly next_cursor: string | null;
}

/** Everything that the platform, its log and the gateway say, each asked on its own. */
export interface Evidence {
  readonly payments: ReadonlyMap<string, ShownPayment>;
  readonly wallets: readonly ShownWallet[];
  readonly stuck: readonly StuckSaga[];
  readonly deadLetters: readonly DeadLetter[];
  /** Rows of the error log, those that wait for another attempt included. */
  readonly failures: readonly Failure[];
  readonly charges: readonly RecordedCharge[];
  readonly history: History;
}

/** @param simulator the url of the gateway simulator */
export async function gatherEvidence(client: Client, sql: Sql, simulator: string): Promise<Evidence> {
  const payments = await listAll<ShownPayment>(client.get, '/api/v1/payments');
  return {
    payments: new Map(payments.map((payment) => [payment.id, payment])),
    wallets: await listAll<ShownWallet>(client.get, '/api/v1/wallets'),
    stuck: (await client.get<Page<StuckSaga>>('/api/v1/sagas?stuck=true')).data,
    deadLetters: (await client.get<Page<DeadLetter>>('/api/v1/dlq')).data,
    failures: await sql.query(`SELECT consumer, status, event ->> 'type' AS type, error FROM error_log LIMIT ${PAGE}`),
    charges: await listAll((path) => getJson(simulator + path), '/charges'),
    history: await readHistory(sql),
  };
}

async function listAll<Item>(get: (path: string) => Promise<Page<Item>>, path: string): Promise<readonly Item[]> {
  const found: Item[] = [];
  let cursor: string | null = null;
  do {
    const query: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
    const page = await get(`${path}?limit=${PAGE}${query}`);
    found.push(...page.data);
    cursor = page.next_cursor;
  } while (cursor !== null);
  return found;
}

async function getJson<Shown>(url: string): Promise<Shown> {
  const response = await fetch(url, { signal: AbortSignal.timeout(CALL_LIMIT_MS) });
  return (await response.json()) as Shown;
}
