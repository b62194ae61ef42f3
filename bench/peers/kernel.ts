import { createIdSource } from '#kernel/core/ids.ts';
import { createLog } from '#kernel/observability/log.ts';
import { createMetrics } from '#kernel/observability/metrics.ts';
import type { Executor } from '#kernel/processor/execute.ts';
import { WALLET, walletIdOf } from '#services/wallets/contract.ts';
import { DEFAULT_WALLET_SETTINGS, type WalletCommand } from '#services/wallets/decider.ts';
import { walletsService } from '#services/wallets/index.ts';
import { openDatabase } from '#src/composition/database.ts';
import { createKernel, createPostgresBackend } from '#src/composition/kernel.ts';
import { readConfig } from '#src/config.ts';
import type { OpenPeer, Transfer, TransferOutcome } from './peer.ts';

const CURRENCY = 'USD';
const OPENED_AT_ONCE = 200;
const DAY_MS = 86_400_000;

/** The debited wallet does not hold enough: nothing of the transfer takes effect. */
class Refused extends Error {}

/**
 * Caudal's kernel with its wallets service, in this process and without HTTP: a transfer is one request of two commands, a
 * debit of one wallet and a credit of the other, decided together or not at all, answered once under the transfer's id. Both
 * movements are events in the hash chain, and the balances and the ledger are written with them.
 */
export const openKernel: OpenPeer = async ({ url, pool, accounts, openingMinor }) => {
  const config = readConfig({ DATABASE_URL: url }, { poolSize: pool });
  const log = createLog('error');
  const database = await openDatabase(config, log, ['wallets']);
  const service = walletsService(DEFAULT_WALLET_SETTINGS);
  const backend = await createPostgresBackend(config, database, () => '/caudal/wallets', log);
  const kernel = createKernel(config, backend, service.produces, createMetrics().observer, log);
  await kernel.start();
  const processor = kernel.processor(service);
  await processor.start();
  const ids = Array.from({ length: accounts }, (_, account) => walletIdOf(String(account)));
  for (let i = 0; i < accounts; i += OPENED_AT_ONCE) {
    const some = ids.slice(i, i + OPENED_AT_ONCE);
    await Promise.all(some.map((id, j) => openWallet(processor, id, String(i + j), openingMinor)));
  }
  return {
    transfer: (transfer) => makeTransfer(processor, transfer, ids),
    balances: async () => {
      const rows = await database.pool.query<{ wallet_id: string; balance_minor: number }>(
        'SELECT wallet_id, balance_minor FROM wallets.wallet_balances',
      );
      const balanceOf = new Map(rows.map((row) => [row.wallet_id, row.balance_minor]));
      return ids.map((id) => balanceOf.get(id)!);
    },
    countDone: async () => {
      const rows = await database.pool.query<{ done: number }>(
        `SELECT count(*) AS done FROM events WHERE event_type = 'wallet.debited'`,
      );
      return rows[0]!.done;
    },
    close: async () => {
      await processor.stop();
      await kernel.stop();
      await database.close();
    },
  };
};

const { traceId } = createIdSource();

async function openWallet(executor: Executor, id: string, userId: string, openingMinor: number): Promise<void> {
  const commands: readonly WalletCommand[] = [
    { type: 'OpenWallet', walletId: id, userId, currency: CURRENCY, overdraftLimitMinor: 0 },
    { type: 'Credit', amountMinor: openingMinor, reason: 'deposit', reference: 'opening' },
  ];
  await executor.execute({
    commands: commands.map((command) => ({ aggregate: WALLET, id, command })),
    traceId: traceId(),
    answer: () => null,
  });
}

async function makeTransfer(
  executor: Executor,
  { id, from, to, amountMinor }: Transfer,
  ids: readonly string[],
): Promise<TransferOutcome> {
  const movement = { amountMinor, reason: 'transfer', reference: id };
  const debit: WalletCommand = { type: 'Debit', ...movement };
  const credit: WalletCommand = { type: 'Credit', ...movement };
  try {
    const { answer } = await executor.execute<TransferOutcome>({
      commands: [
        { aggregate: WALLET, id: ids[from]!, command: debit },
        { aggregate: WALLET, id: ids[to]!, command: credit },
      ],
      keys: [
        { scope: 'transfer', key: id, requestHash: `${from} ${to} ${amountMinor}`, expiresAt: Date.now() + DAY_MS },
      ],
      traceId: traceId(),
      answer: (results) => {
        if (results.some((result) => !result.ok)) throw new Refused();
        return 'done';
      },
    });
    return answer;
  } catch (cause) {
    if (cause instanceof Refused) return 'refused';
    throw cause;
  }
}
