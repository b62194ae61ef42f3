import { formatAmount } from '#kernel/core/money.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import { type BelievedCharge, believedCharges } from '#services/gateway/queries.ts';
import { type Discrepancy, type Moved, type RecordedCharge, reconcile } from '#services/gateway/reconciliation.ts';
import { CliError } from './failure.ts';

const PAGE = 1000;

/**
 * Compares the gateway's own record of charges with what the platform believes.
 * @param gatewayUrl the gateway simulator
 * @returns one line for each payment that differs and is not still being settled
 * @throws CliError when the gateway does not answer
 */
export async function compareWithGateway(sql: Sql, gatewayUrl: string): Promise<readonly string[]> {
  const differences = reconcile(await recordedCharges(gatewayUrl), await allBelieved(sql));
  return differences.filter(({ open }) => !open).map(describe);
}

async function recordedCharges(gatewayUrl: string): Promise<readonly RecordedCharge[]> {
  const charges: RecordedCharge[] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const query: string = `limit=${PAGE}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`;
    const response = await fetch(`${gatewayUrl}/charges?${query}`).catch((error: Error) => {
      throw new CliError(`the gateway at ${gatewayUrl} does not answer: ${error.message}`);
    });
    if (!response.ok) throw new CliError(`the gateway at ${gatewayUrl} answered ${response.status} for its charges`);
    const page = (await response.json()) as { data: RecordedCharge[]; next_cursor: string | null };
    charges.push(...page.data);
    cursor = page.next_cursor;
  }
  return charges;
}

async function allBelieved(sql: Sql): Promise<readonly BelievedCharge[]> {
  const believed: BelievedCharge[] = [];
  for (let page: readonly BelievedCharge[] | undefined; page === undefined || page.length === PAGE; ) {
    page = await believedCharges(sql, believed.at(-1)?.payment_id ?? null, PAGE);
    believed.push(...page);
  }
  return believed;
}

function describe({ payment_id, gateway, platform }: Discrepancy): string {
  return `payment ${payment_id}: the gateway ${describeMoved(gateway)}, the platform believes it ${describeMoved(platform)}`;
}

function describeMoved({ taken, refunded }: Moved): string {
  return `took ${describeSums(taken)} and gave back ${describeSums(refunded)}`;
}

function describeSums(sums: Readonly<Record<string, number>>): string {
  const texts = Object.entries(sums).map(([currency, minor]) => `${formatAmount(minor, currency)} ${currency}`);
  return texts.length === 0 ? 'nothing' : texts.join(' + ');
}
