import { countTransfers, createLedger, makeTransfer, openPool, readBalances } from './ledger.ts';
import type { OpenPeer } from './peer.ts';

/** Plain SQL with the driver `pg`: one function call, which is one transaction, for each transfer. See ledger.ts. */
export const openSql: OpenPeer = async (options) => {
  const pool = await openPool(options);
  await createLedger(pool, options);
  return {
    transfer: (transfer) => makeTransfer(pool, transfer),
    balances: () => readBalances(pool),
    countDone: () => countTransfers(pool),
    close: () => pool.end(),
  };
};
