import { formatAmount, type MinorUnits } from '#kernel/core/money.ts';
import { ApiError, type Client, problemOf } from '../client.ts';
import { CliError } from '../failure.ts';
import { createLanes } from '../lanes.ts';
import { persist } from '../persist.ts';
import { type BankMovement, CURRENCY, readBankFile } from './bank-file.ts';

/** A debit that the wallet's limit did not cover. */
export interface RefusedDebit {
  readonly line: number;
  readonly transaction: string;
  readonly account: string;
  readonly date: string;
  readonly amount: string;
}

/** What an import did. */
export interface ImportOutcome {
  readonly accounts: number;
  readonly walletsOpened: number;
  readonly credits: number;
  readonly debits: number;
  /** Movements whose answer an earlier run had got already. */
  readonly replayed: number;
  /** In file order. */
  readonly refused: readonly RefusedDebit[];
  /** Accounts whose balance is not the sum of the movements applied: the wallet was used otherwise too. */
  readonly inexact: readonly string[];
  /** The account whose balance is furthest from what the bank recorded last. */
  readonly furthest: {
    readonly account: string;
    readonly balance: string;
    readonly bankBalance: string;
    readonly difference: string;
  };
}

export interface ImportOptions {
  /** How far below zero a wallet may go, decimal text in major units. */
  readonly overdraft: string;
  onProgress(done: number): void;
}

/** Requests on their way at once. */
export const CONCURRENCY = 32;
/** Movements read ahead: so many, of accounts that wait for an answer, are in memory at most. */
const MAX_WAITING = 2000;

interface Account {
  readonly opened: Promise<void>;
  balanceMinor: MinorUnits;
  bankBalanceMinor: MinorUnits;
}

/**
 * Opens a wallet for each account of the file and applies its movements through the API: per account in file order,
 * accounts side by side. Each movement carries a reference and an Idempotency-Key made of its transaction's number, so
 * that what an earlier run did, killed or not, is not done again.
 * @throws CliError what kept it from going on; running it again goes on there
 */
export async function importBankFile(client: Client, path: string, options: ImportOptions): Promise<ImportOutcome> {
  const accounts = new Map<string, Account>();
  const counts = { walletsOpened: 0, credit: 0, debit: 0, replayed: 0, done: 0 };
  const refused: RefusedDebit[] = [];
  const lanes = createLanes(MAX_WAITING);

  const accountOf = (name: string): Account => {
    const known = accounts.get(name);
    if (known !== undefined) return known;
    const opened = openWallet(client, name, options.overdraft).then((isNew) => {
      counts.walletsOpened += isNew ? 1 : 0;
    });
    // It is awaited by the account's first movement.
    opened.catch(() => undefined);
    const account: Account = { opened, balanceMinor: 0, bankBalanceMinor: 0 };
    accounts.set(name, account);
    return account;
  };

  const apply = async (movement: BankMovement): Promise<void> => {
    const account = accountOf(movement.account);
    await account.opened;
    const { applied, replayed } = await move(client, movement);
    if (applied) account.balanceMinor += movement.kind === 'credit' ? movement.amountMinor : -movement.amountMinor;
    else refused.push(refusedDebit(movement));
    account.bankBalanceMinor = movement.bankBalanceMinor;
    counts[movement.kind] += applied ? 1 : 0;
    counts.replayed += replayed ? 1 : 0;
    counts.done += 1;
    options.onProgress(counts.done);
  };

  for await (const item of readBankFile(path)) {
    if ('problem' in item) throw new CliError(`line ${item.line}: ${item.problem}`);
    await lanes.put(item.account, () => apply(item));
  }
  await lanes.finish();
  const { walletsOpened, credit: credits, debit: debits, replayed } = counts;
  refused.sort((a, b) => a.line - b.line);
  return {
    accounts: accounts.size,
    walletsOpened,
    credits,
    debits,
    replayed,
    refused,
    ...(await compare(client, accounts)),
  };
}

/** @returns false when the wallet was there already */
async function openWallet(client: Client, account: string, overdraft: string): Promise<boolean> {
  const body = { user_id: account, currency: CURRENCY, overdraft_limit: overdraft };
  const answer = await persist(client, 'POST', '/wallets', { body });
  if (answer.status < 300) return true;
  if (problemOf(answer).code === 'wallet_already_exists') return false;
  throw new ApiError(answer, `the wallet of account ${account}`);
}

async function move(client: Client, movement: BankMovement): Promise<{ applied: boolean; replayed: boolean }> {
  const reference = `bank-${movement.transaction}`;
  const answer = await persist(client, 'POST', `/wallets/${movement.account}/${movement.kind}s`, {
    body: { amount: movement.amount, reason: movement.operation, reference, effective_at: movement.date },
    headers: { 'idempotency-key': reference },
  });
  const applied = answer.status < 300;
  if (!applied && problemOf(answer).code !== 'insufficient_funds') throw new ApiError(answer, `line ${movement.line}`);
  return { applied, replayed: answer.headers['idempotency-replayed'] === 'true' };
}

function refusedDebit({ line, transaction, account, date, amount }: BankMovement): RefusedDebit {
  return { line, transaction, account, date, amount };
}

/** Compares each wallet's balance with the sum of its movements, and with what the bank recorded last. */
async function compare(
  client: Client,
  accounts: ReadonlyMap<string, Account>,
): Promise<Pick<ImportOutcome, 'inexact' | 'furthest'>> {
  const lanes = createLanes(CONCURRENCY);
  const inexact: string[] = [];
  let furthest = { account: '', balance: 0, bankBalance: 0, difference: -1 };
  for (const [name, account] of accounts) {
    await lanes.put(name, async () => {
      const { balance_minor: balance } = await client.get<{ balance_minor: MinorUnits }>(`/wallets/${name}`);
      if (balance !== account.balanceMinor) inexact.push(name);
      const difference = Math.abs(balance - account.bankBalanceMinor);
      if (difference > furthest.difference)
        furthest = { account: name, balance, bankBalance: account.bankBalanceMinor, difference };
    });
  }
  await lanes.finish();
  const money = (minor: MinorUnits): string => formatAmount(minor, CURRENCY);
  const { account, balance, bankBalance, difference } = furthest;
  return {
    inexact: inexact.sort(),
    furthest: {
      account,
      balance: money(balance),
      bankBalance: money(bankBalance),
      difference: money(Math.max(difference, 0)),
    },
  };
}
