import { Command, Option } from 'commander';
import type { PaymentsOptions, PaymentsResult } from '../../../bench/scenarios/payments.ts';
import type { WalletResult } from '../../../bench/scenarios/wallet.ts';
import { foundSomethingWrong } from '../failure.ts';
import { share, wholeNumber, withExample, withJson } from '../options.ts';
import { paint, printFields, printJson, printTable } from '../output.ts';

type PaymentsArguments = Omit<PaymentsOptions, 'onPhase'> & { readonly json?: boolean };

export function createCommand(): Command {
  const payments = new Command('payments')
    .description('payments a second from POST to their final status, on a server and data folder of its own')
    .option('--seconds <number>', 'how long is measured', wholeNumber(1, 3600), 10)
    .option('--connections <number>', 'clients, each with one payment on its way', wholeNumber(1, 10_000), 256)
    .addOption(new Option('--method <method>', 'how is paid').choices(['wallet', 'credit_card']).default('wallet'))
    .option('--hot <share>', 'share of the payments, 0 to 1, that go to one wallet', share, 0)
    .option('--wallets <number>', 'how many wallets there are', wholeNumber(1, 1_000_000), 1000)
    .option('--preload-events <number>', 'fill the store with so many events first', wholeNumber(0), 0)
    .option('--profile <folder>', 'write a CPU profile of the server there')
    .action(runPayments);
  const wallet = new Command('wallet')
    .description('reading one wallet with a long history, warm and just after a start')
    .option('--events <number>', 'how many events it has', wholeNumber(10, 10_000_000), 10_000)
    .option('--restarts <number>', 'after how many starts each request is made', wholeNumber(1, 100), 3)
    .action(runWallet);
  withExample(withJson(payments), 'bench payments --seconds 30 --connections 256 --hot 1');
  withExample(withJson(wallet), 'bench wallet --events 10000');
  return new Command('bench').addCommand(payments).addCommand(wallet);
}

/** Tells a person who waits what is being done. */
function showPhase(phase: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${phase}…`);
}

function endPhases(): void {
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
}

async function runPayments({ json, ...options }: PaymentsArguments): Promise<void> {
  const { benchPayments } = await import('../../../bench/scenarios/payments.ts');
  const result = await benchPayments({ ...options, onPhase: showPhase }).finally(endPhases);
  if (!result.ledger_balanced || result.errors > 0) foundSomethingWrong();
  if (json) printJson(result);
  else printPayments(result);
}

function printPayments(result: PaymentsResult): void {
  const { post_ms, completion_ms, completion_by_server_ms, cpu } = result;
  console.log(paint('bold', `${result.payments_per_second} completed ${result.method} payments/s`));
  printTable(
    [
      { what: 'POST', ...post_ms },
      { what: `to the final status (${result.completion_samples} clients)`, ...completion_ms },
      { what: 'the same by the server’s clock, all', ...completion_by_server_ms },
    ],
    [
      { title: 'MILLISECONDS', value: (row) => row.what },
      { title: 'P50', value: (row) => row.p50, align: 'right' },
      { title: 'P95', value: (row) => row.p95, align: 'right' },
      { title: 'P99', value: (row) => row.p99, align: 'right' },
    ],
    '',
  );
  printFields({
    errors: result.errors === 0 ? '0' : `${result.errors} ${JSON.stringify(result.error_kinds)}`,
    payments: `${result.acknowledged} acknowledged in all, ${result.unfinished} without a final status, ${result.declined} declined`,
    ledger: result.ledger_balanced ? 'balanced: every wallet, and the sum of all accounts' : 'NOT BALANCED',
    events: `${result.events_per_second}/s, ${result.ratio_to_limit} of the limit of ${result.limit_events_per_second}/s`,
    'events before': result.events_before,
    memory: result.rss_mb === undefined ? undefined : `${result.rss_mb} MiB at most, the server`,
    cores:
      cpu === undefined
        ? undefined
        : Object.entries(cpu)
            .map(([part, cores]) => `${part} ${cores}`)
            .join(', '),
    load: `${result.load_us_per_request} µs of processor time a request, ${result.connections} connections, ${result.seconds} s, hot ${result.hot}`,
    versions: `commit ${result.commit}, Node ${result.node}, PostgreSQL ${result.postgres}`,
  });
}

async function runWallet({ json, ...options }: { events: number; restarts: number; json?: boolean }): Promise<void> {
  const { benchWallet } = await import('../../../bench/scenarios/wallet.ts');
  const result = await benchWallet({ ...options, onPhase: showPhase }).finally(endPhases);
  if (json) printJson(result);
  else printWallet(result);
}

function printWallet({ events, warm_ms, cold_ms, commit, node, postgres }: WalletResult): void {
  console.log(paint('bold', `A wallet of ${events} events, milliseconds`));
  printTable(
    Object.entries(cold_ms),
    [
      { title: 'REQUEST', value: ([name]) => name },
      {
        title: 'WARM P50',
        value: ([name]) => (name === 'debit' ? '' : warm_ms[name as keyof typeof warm_ms].p50),
        align: 'right',
      },
      {
        title: 'WARM P99',
        value: ([name]) => (name === 'debit' ? '' : warm_ms[name as keyof typeof warm_ms].p99),
        align: 'right',
      },
      { title: 'COLD', value: ([, ms]) => ms, align: 'right' },
    ],
    '',
  );
  printFields({ versions: `commit ${commit}, Node ${node}, PostgreSQL ${postgres}` });
}
