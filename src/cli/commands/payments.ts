import { randomUUID } from 'node:crypto';
import { Command, Option } from 'commander';
import { formatAmount } from '#kernel/core/money.ts';
import { PAYMENT_METHODS, PAYMENT_STATUSES } from '#services/payments/contract.ts';
import { type Client, withClient } from '../client.ts';
import { withExample, withJson, withLimit, withUrl } from '../options.ts';
import { type Column, paint, printFields, printJson, printTable, readableAmounts, shortTime } from '../output.ts';

interface Payment {
  readonly id: string;
  readonly status: string;
  readonly reason?: string | null;
  readonly amount_minor: number;
  readonly currency: string;
  readonly method: string;
  readonly customer_id: string;
  readonly created_at: string;
}

interface TimelineEntry {
  readonly at: string;
  readonly kind: string;
  readonly summary: string;
}

const STATUS_COLOURS: Readonly<Record<string, 'green' | 'red' | 'yellow'>> = {
  APPROVED: 'green',
  DECLINED: 'red',
  FAILED: 'red',
  PENDING: 'yellow',
};

const COLUMNS: readonly Column<Payment>[] = [
  { title: 'ID', value: (row) => row.id },
  { title: 'CREATED (UTC)', value: (row) => shortTime(row.created_at) },
  { title: 'STATUS', value: (row) => row.status, style: (row) => STATUS_COLOURS[row.status] },
  { title: 'AMOUNT', value: (row) => formatAmount(row.amount_minor, row.currency), align: 'right' },
  { title: 'CURRENCY', value: (row) => row.currency },
  { title: 'METHOD', value: (row) => row.method },
  { title: 'CUSTOMER', value: (row) => row.customer_id },
  { title: 'REASON', value: (row) => row.reason },
];

export function createCommand(): Command {
  const list = new Command('list')
    .description('payments, newest first')
    .option('--customer <id>', 'only of this customer')
    .addOption(new Option('--status <status>', 'only in this status').choices(PAYMENT_STATUSES))
    .addOption(new Option('--method <method>', 'only by this method').choices(PAYMENT_METHODS))
    .option('--from <time>', 'created at or after, a date or an RFC 3339 time')
    .option('--to <time>', 'created before; of a date the day itself is within')
    .action(listPayments);
  const show = new Command('show')
    .description('one payment and everything that happened to it')
    .argument('<id>', 'the id of the payment')
    .action(showPayment);
  const refund = new Command('refund')
    .description('give a payment back, all that is left of it or a part')
    .argument('<id>', 'the id of the payment')
    .option('--amount <amount>', 'how much, such as 10.50; all that is left when not given')
    .requiredOption('--reason <text>', 'why, for the books')
    .option('--key <key>', 'Idempotency-Key: give the same one to try again safely')
    .action(refundPayment);
  withExample(withUrl(withJson(withLimit(list))), 'payments list --status PENDING');
  withExample(withUrl(withJson(show)), 'payments show 019ad8f2-5f0b-7c11-9c5e-5a8f0f3b2d10');
  withExample(
    withUrl(withJson(refund)),
    'payments refund 019ad8f2-5f0b-7c11-9c5e-5a8f0f3b2d10 --amount 10.50 --reason "damaged goods"',
  );
  return new Command('payments').addCommand(list).addCommand(show).addCommand(refund);
}

interface CommonOptions {
  readonly json?: boolean;
  readonly url?: string;
}

async function listPayments(
  options: CommonOptions & {
    limit: number;
    customer?: string;
    status?: string;
    method?: string;
    from?: string;
    to?: string;
  },
): Promise<void> {
  const { url, json, limit, customer, ...filter } = options;
  const query = { ...filter, customer_id: customer };
  const payments = await withClient(url, (client) => client.list<Payment>('/payments', query, limit));
  if (json) printJson(payments);
  else printTable(payments, COLUMNS, 'no payments');
}

async function showPayment(id: string, { url, json }: CommonOptions): Promise<void> {
  const path = `/payments/${encodeURIComponent(id)}`;
  const { payment, timeline } = await withClient(url, async (client: Client) => ({
    payment: await client.get<Payment>(path),
    timeline: (await client.get<{ data: readonly TimelineEntry[] }>(`${path}/timeline`)).data,
  }));
  if (json) return printJson({ ...payment, timeline });
  printFields(readableAmounts({ ...payment }));
  console.log(paint('bold', '\nTimeline (UTC)'));
  for (const entry of timeline) console.log(`${paint('dim', entry.at)}  ${entry.kind.padEnd(10)}  ${entry.summary}`);
}

async function refundPayment(
  id: string,
  options: CommonOptions & { amount?: string; reason: string; key?: string },
): Promise<void> {
  const { url, json, amount, reason, key = randomUUID() } = options;
  const body = { reason, ...(amount !== undefined && { amount }) };
  const path = `/payments/${encodeURIComponent(id)}/refunds`;
  const refund = await withClient(url, (client) => client.post<object>(path, body, { 'idempotency-key': key }));
  if (json) printJson(refund);
  else printFields(readableAmounts({ ...refund }));
}
