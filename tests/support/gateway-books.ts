import { type BelievedCharge, believedCharges } from '#services/gateway/queries.ts';
import { type Discrepancy, type RecordedCharge, reconcile } from '#services/gateway/reconciliation.ts';
import type { Api } from './api.ts';
import type { Platform } from './platform.ts';

const PAGE = 1000;

/** Every charge that the simulator has recorded. */
export async function recordedCharges(simulator: Api): Promise<readonly RecordedCharge[]> {
  const charges: RecordedCharge[] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const { body } = await simulator.get(`/charges?limit=${PAGE}${cursor && `&cursor=${cursor}`}`);
    charges.push(...body.data);
    cursor = body.next_cursor;
  }
  return charges;
}

/** The reconciliation of the gateway's record with what the platform believes; empty when every cent is explained. */
export async function discrepancies({ simulator, queryOf }: Platform): Promise<readonly Discrepancy[]> {
  const query = queryOf('gateway');
  const believed: BelievedCharge[] = [];
  for (let page: readonly BelievedCharge[] | undefined; page === undefined || page.length === PAGE; ) {
    page = await believedCharges({ query }, believed.at(-1)?.payment_id ?? null, PAGE);
    believed.push(...page);
  }
  return reconcile(await recordedCharges(simulator), believed);
}
