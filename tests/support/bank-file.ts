import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** One line of a bank's file. Amounts in minor units. */
export interface BankLine {
  readonly date: string;
  readonly account: string;
  readonly transaction: string;
  readonly kind: 'credit' | 'debit';
  readonly amount: number;
  readonly bankBalance: number;
}

/** Where the real file is: CAUDAL_BANK_FILE, or beside the project; undefined when it is not there. */
export function realBankFile(): string | undefined {
  const beside = join(import.meta.dirname, '../../../shared/data/bank-transactions.csv');
  return [process.env.CAUDAL_BANK_FILE, beside].find((path) => path !== undefined && existsSync(path));
}

/** Reads a file without anything of the program's own. */
export function readBankLines(path: string): readonly BankLine[] {
  const minor = (text: string): number => Number(text.replace('.', ''));
  return readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => {
      const [date, account, transaction, kind, , amount, balance] = line.split(',') as string[];
      return { date, account, transaction, kind, amount: minor(amount!), bankBalance: minor(balance!) } as BankLine;
    });
}

/** What an import must lead to. */
export interface ExpectedBooks {
  /** Account → its balance after everything, minor units. */
  readonly balances: ReadonlyMap<string, number>;
  /** Account → the bank's own last balance. */
  readonly bankBalances: ReadonlyMap<string, number>;
  /** The transactions whose debit goes below the limit, in file order. */
  readonly refused: readonly string[];
  /** Account → its balance at the end of each day on which it moved, in file order. */
  readonly days: ReadonlyMap<string, ReadonlyMap<string, number>>;
}

/** Adds the file up, line by line. @param overdraft how far below zero an account may go, minor units */
export function addUp(lines: readonly BankLine[], overdraft: number): ExpectedBooks {
  const balances = new Map<string, number>();
  const bankBalances = new Map<string, number>();
  const days = new Map<string, Map<string, number>>();
  const refused: string[] = [];
  for (const { date, account, transaction, kind, amount, bankBalance } of lines) {
    const before = balances.get(account) ?? 0;
    const after = kind === 'credit' ? before + amount : before - amount;
    const covered = kind === 'credit' || after >= -overdraft;
    if (!covered) refused.push(transaction);
    balances.set(account, covered ? after : before);
    bankBalances.set(account, bankBalance);
    days.set(account, (days.get(account) ?? new Map()).set(date, balances.get(account)!));
  }
  return { balances: new Map([...balances].sort()), bankBalances, refused, days };
}
