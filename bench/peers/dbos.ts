import { countTransfers, createLedger, makeTransfer, openPool, readBalances } from './ledger.ts';
import { loadPackage } from './packages.ts';
import type { OpenPeer, Transfer, TransferOutcome } from './peer.ts';

/** Of `@dbos-inc/dbos-sdk`, what is used here. */
interface DbosSdk {
  readonly DBOS: {
    setConfig(config: {
      name: string;
      systemDatabaseUrl: string;
      systemDatabasePoolSize: number;
      logLevel: string;
    }): void;
    registerWorkflow<Args extends unknown[], Result>(
      work: (...args: Args) => Promise<Result>,
      options: { name: string },
    ): (...args: Args) => Promise<Result>;
    runStep<Result>(work: () => Promise<Result>, options: { name: string }): Promise<Result>;
    withNextWorkflowID<Result>(id: string, work: () => Promise<Result>): Promise<Result>;
    launch(): Promise<void>;
    shutdown(): Promise<void>;
  };
}

/**
 * A durable workflow for each transfer, as DBOS's README shows it: the workflow's id is the transfer's, and its one step is the
 * same SQL function as in sql.ts, which may be repeated after a crash, since it takes effect once for each id. What DBOS makes
 * durable besides: that the workflow began, with its input; the step's result; the workflow's result. That is four
 * transactions for each transfer; for them a workflow of many steps goes on where it stopped, which plain SQL does not.
 * The workflows' tables are in the same database. Two pools of the same size: the step's, and DBOS's own.
 */
export const openDbos: OpenPeer = async (options) => {
  const { DBOS } = await loadPackage<DbosSdk>(options.packages, '@dbos-inc/dbos-sdk');
  const pool = await openPool(options);
  await createLedger(pool, options);
  DBOS.setConfig({
    name: 'transfers',
    systemDatabaseUrl: options.url,
    systemDatabasePoolSize: options.pool,
    logLevel: 'error',
  });
  const work = (transfer: Transfer): Promise<TransferOutcome> =>
    DBOS.runStep(() => makeTransfer(pool, transfer), { name: 'move' });
  const workflow = DBOS.registerWorkflow(work, { name: 'transfer' });
  await DBOS.launch();
  return {
    transfer: (transfer) => DBOS.withNextWorkflowID(transfer.id, () => workflow(transfer)),
    balances: () => readBalances(pool),
    countDone: () => countTransfers(pool),
    close: async () => {
      await DBOS.shutdown();
      await pool.end();
    },
  };
};
