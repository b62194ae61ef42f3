import { Command } from 'commander';
import { formatAmount, parseLimit } from '#kernel/core/money.ts';
import { CURRENCY, inspectBankFile, type MalformedLine } from '../bank/bank-file.ts';
import { CONCURRENCY, type ImportOutcome, importBankFile } from '../bank/bank-import.ts';
import { createClient } from '../client.ts';
import { CliError, foundSomethingWrong, wrongUse } from '../failure.ts';
import { withExample, withJson, withUrl } from '../options.ts';
import { printFields, printJson, printTable } from '../output.ts';
import { createProgress } from '../progress.ts';
import { CURRENCY as RETAIL_CURRENCY, readInvoices } from '../retail/retail-file.ts';
import { importRetailFile, CONCURRENCY as RETAIL_CONCURRENCY } from '../retail/retail-import.ts';
import { printRetail } from '../retail/retail-report.ts';

const DEFAULT_OVERDRAFT = '100000.00';

interface BankOptions {
  readonly overdraft: string;
  readonly url?: string;
  readonly json?: boolean;
}

export function createCommand(): Command {
  const bank = new Command('bank')
    .description(`open a wallet in ${CURRENCY} for each account of a bank's CSV file, and apply its movements`)
    .argument('<file>', 'columns: date, account, transaction, kind, operation, amount, bank_balance')
    .option('--overdraft <amount>', 'how far below zero a wallet may go', DEFAULT_OVERDRAFT)
    .action(importBank);
  withExample(withUrl(withJson(bank)), 'import bank transactions.csv --overdraft 0');
  bank.addHelpText('after', '\nRunning it again changes nothing; after it was stopped, it goes on where it was.');
  const retail = new Command('retail')
    .description(
      `sell the invoices of a shop's CSV file, with prices in ${RETAIL_CURRENCY}: products, stock, wallets, purchases`,
    )
    .argument('<file>', 'columns: invoice, stock_code, description, quantity, unit_price, customer_id')
    .action(importRetail);
  withExample(withUrl(withJson(retail)), 'import retail invoices.csv');
  retail.addHelpText(
    'after',
    `
An invoice whose number begins with C is a cancellation: it gives back what the customer has bought further up in the file. Lines that
cannot be sold are left out and listed, each with its number and reason. Running it again changes nothing; after it was
stopped, it goes on where it was.`,
  );
  return new Command('import').addCommand(bank).addCommand(retail);
}

async function importBank(file: string, options: BankOptions): Promise<void> {
  const overdraft = parseLimit(options.overdraft, CURRENCY, 'overdraft');
  if (!overdraft.ok) throw wrongUse(`--overdraft: ${overdraft.refusal.message}`);
  const { movements, malformed, malformedLines } = await inspectBankFile(file);
  if (malformedLines > 0) throw malformedFile(file, malformed, malformedLines);
  const client = createClient(options.url, CONCURRENCY);
  const progress = createProgress('Importing', movements, 'movements');
  try {
    // Nobody answering is told at once; while the import runs, a server that is away is waited for.
    await client.get('/wallets', { limit: 1 });
    const onProgress = (done: number): void => progress.update(done);
    const outcome = await importBankFile(client, file, {
      overdraft: formatAmount(overdraft.value, CURRENCY),
      onProgress,
    });
    progress.stop();
    if (outcome.inexact.length > 0) foundSomethingWrong();
    if (options.json) printJson(jsonOf(outcome));
    else printOutcome(outcome);
  } finally {
    progress.stop();
    client.close();
  }
}

async function importRetail(file: string, options: Pick<BankOptions, 'url' | 'json'>): Promise<void> {
  const invoices = await countInvoices(file);
  const client = createClient(options.url, RETAIL_CONCURRENCY);
  const progress = createProgress('Importing', invoices, 'invoices');
  try {
    await client.get('/purchases', { limit: 1 });
    const outcome = await importRetailFile(client, file, (done) => progress.update(done));
    progress.stop();
    if (outcome.inexact.length > 0) foundSomethingWrong();
    if (options.json) printJson(outcome);
    else printRetail(outcome);
  } finally {
    progress.stop();
    client.close();
  }
}

/** @throws CliError before anything is imported, where the file cannot be read to its end */
async function countInvoices(file: string): Promise<number> {
  let count = 0;
  for await (const _invoice of readInvoices(file)) count += 1;
  return count;
}

function malformedFile(file: string, malformed: readonly MalformedLine[], total: number): CliError {
  const lines = malformed.map(({ line, problem }) => `  line ${line}: ${problem}`);
  if (total > malformed.length) lines.push(`  and ${total - malformed.length} more`);
  return new CliError(`${file} has ${total} malformed lines; nothing was imported\n${lines.join('\n')}`);
}

function jsonOf({ walletsOpened, furthest, ...outcome }: ImportOutcome): object {
  const { bankBalance, ...rest } = furthest;
  return { ...outcome, wallets_opened: walletsOpened, furthest_from_bank: { ...rest, bank_balance: bankBalance } };
}

function printOutcome(outcome: ImportOutcome): void {
  const { refused, inexact, furthest } = outcome;
  if (refused.length > 0) {
    console.log('Refused, for the limit does not cover them:');
    printTable(
      refused,
      [
        { title: 'LINE', value: (row) => row.line, align: 'right' },
        { title: 'TRANSACTION', value: (row) => row.transaction, align: 'right' },
        { title: 'ACCOUNT', value: (row) => row.account, align: 'right' },
        { title: 'DATE', value: (row) => row.date },
        { title: 'AMOUNT', value: (row) => row.amount, align: 'right' },
      ],
      '',
    );
    console.log();
  }
  printFields({
    wallets: `${outcome.accounts}, ${outcome.walletsOpened} of them new`,
    credits: outcome.credits,
    debits: outcome.debits,
    refused: refused.length,
    replayed: `${outcome.replayed} were done before`,
    balances:
      inexact.length === 0
        ? 'each is exactly the sum of its movements'
        : `not the sum of the movements in the file: ${inexact.join(', ')}`,
    bank: `largest difference ${furthest.difference} ${CURRENCY}: account ${furthest.account} has ${furthest.balance}, the bank recorded ${furthest.bankBalance}`,
  });
}
