import { Command } from 'commander';
import { formatAmount } from '#kernel/core/money.ts';
import { withClient } from '../client.ts';
import { withExample, withJson, withLimit, withUrl } from '../options.ts';
import { type Column, printFields, printJson, printTable, readableAmounts, shortTime } from '../output.ts';

interface Movement {
  readonly kind: 'debit' | 'credit';
  readonly amount_minor: number;
  readonly currency: string;
  readonly new_balance_minor: number;
  readonly reason: string;
  readonly reference: string | null;
  readonly payment_id: string | null;
  readonly effective_at: string;
}

interface CommonOptions {
  readonly json?: boolean;
  readonly url?: string;
}

const COLUMNS: readonly Column<Movement>[] = [
  { title: 'VALUE DATE (UTC)', value: (row) => shortTime(row.effective_at) },
  { title: 'KIND', value: (row) => row.kind, style: (row) => (row.kind === 'credit' ? 'green' : undefined) },
  { title: 'AMOUNT', value: (row) => formatAmount(row.amount_minor, row.currency), align: 'right' },
  { title: 'BALANCE', value: (row) => formatAmount(row.new_balance_minor, row.currency), align: 'right' },
  { title: 'CURRENCY', value: (row) => row.currency },
  { title: 'REASON', value: (row) => row.reason },
  { title: 'REFERENCE', value: (row) => row.reference ?? row.payment_id },
];

export function createCommand(): Command {
  const show = new Command('show')
    .description('a wallet and its balance, now or at a past moment')
    .argument('<id>', 'the id of the wallet, or of its user')
    .option('--as-of <time>', 'balance at the end of this moment by value date: a date or an RFC 3339 time')
    .action(showWallet);
  const statement = new Command('statement')
    .description('the movements of a wallet, the last recorded first')
    .argument('<id>', 'the id of the wallet, or of its user')
    .option('--from <time>', 'value date at or after')
    .option('--to <time>', 'value date before; of a date the day itself is within')
    .action(showStatement);
  withExample(withUrl(withJson(show)), 'wallets show customer-123 --as-of 2026-11-01');
  withExample(withUrl(withJson(withLimit(statement))), 'wallets statement customer-123 --from 2026-11-01');
  return new Command('wallets').addCommand(show).addCommand(statement);
}

async function showWallet(id: string, { url, json, asOf }: CommonOptions & { asOf?: string }): Promise<void> {
  const path = `/wallets/${encodeURIComponent(id)}`;
  const wallet = await withClient(url, (client) =>
    asOf === undefined ? client.get<object>(path) : client.get<object>(`${path}/balance`, { as_of: asOf }),
  );
  if (json) printJson(wallet);
  else printFields(readableAmounts({ ...wallet }));
}

async function showStatement(
  id: string,
  { url, json, limit, from, to }: CommonOptions & { limit: number; from?: string; to?: string },
): Promise<void> {
  const path = `/wallets/${encodeURIComponent(id)}/transactions`;
  const movements = await withClient(url, (client) => client.list<Movement>(path, { from, to }, limit));
  if (json) printJson(movements);
  else printTable(movements, COLUMNS, 'no movements');
}
