import type { Store } from '#kernel/event-store/store.ts';
import { WALLET } from '#services/wallets/contract.ts';
import { WALLET_TABLE, type WalletRow } from '#services/wallets/projections.ts';
import { type Finding, nameOf } from './finding.ts';
import type { Check } from './monitor.ts';
import { pickSome } from './samples.ts';

interface Ports {
  readonly store: Pick<Store, 'readStream' | 'loadRows'>;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
}

/**
 * Compares balances with the movement that they say they come from, for some of the wallets that the new events are about.
 * It is written with the balance, so it is there whenever the row is; how long the stream is makes no difference.
 * @param perPage wallets looked at after each page
 */
export function createBalanceCheck(perPage: number, { store, random }: Ports): Check {
  const check = async (row: WalletRow, seen: number): Promise<readonly Finding[]> => {
    const [event] = await store.readStream({ type: WALLET, id: row.wallet_id }, { from: row.version, limit: 1 });
    const broken = (what: string): readonly Finding[] => {
      const subject = `${WALLET_TABLE.name} ${row.wallet_id}`;
      const message = `${subject}: ${what}${event === undefined ? '' : ` (${nameOf(event)})`}`;
      return [{ invariant: 'read_model', message, subject, ...(event !== undefined && { eventId: event.id }) }];
    };
    if (event?.streamPosition !== row.version) return broken(`it stands at ${row.version}, where no event is`);
    if (row.version < seen) return broken(`it stands at ${row.version}, and its wallet has moved at ${seen}`);
    const balance = event.type === 'wallet.opened' ? 0 : event.data.new_balance_minor;
    return balance === row.balance_minor ? [] : broken(`balance_minor is ${row.balance_minor}, not ${balance}`);
  };

  return {
    look: async (events) => {
      const moved = new Map<string, number>();
      for (const { aggregateType, aggregateId, type, streamPosition } of events)
        if (aggregateType === WALLET && (type === 'wallet.debited' || type === 'wallet.credited'))
          moved.set(aggregateId, streamPosition);
      const chosen = pickSome([...moved.keys()], perPage, random);
      const rows = (await store.loadRows(
        WALLET_TABLE,
        chosen.map((id) => [id]),
      )) as readonly WalletRow[];
      const missing = chosen.filter((id) => !rows.some((row) => row.wallet_id === id));
      const findings = missing.map((id): Finding => {
        const message = `${WALLET_TABLE.name} ${id}: there is no row, and its wallet has moved at ${moved.get(id)}`;
        return { invariant: 'read_model', message, subject: `${WALLET_TABLE.name} ${id}` };
      });
      for (const row of rows) findings.push(...(await check(row, moved.get(row.wallet_id)!)));
      return findings;
    },
    clear: () => undefined,
  };
}
