import { Command, Option } from 'commander';
import type { PaymentsOptions, PaymentsResult } from '../../../bench/scenarios/payments.ts';
import { foundSomethingWrong } from '../failure.ts';
import { share, wholeNumber, withExample, withJson } from '../options.ts';
import { paint, printFields, printJson } from '../output.ts';
import { withLoad } from './load-options.ts';
import { withPhases } from './phases.ts';
import { printDurations } from './table.ts';

type Arguments = Omit<PaymentsOptions, 'onPhase'> & { readonly json?: boolean };

export function paymentsCommand(): Command {
  const payments = withLoad(new Command('payments'), 'payment')
    .description('payments a second from POST to their final status, on a server and data folder of its own')
    .addOption(new Option('--method <method>', 'how is paid').choices(['wallet', 'credit_card']).default('wallet'))
    .option('--hot <share>', 'share of the payments, 0 to 1, that go to one wallet', share, 0)
    .option('--preload-events <number>', 'fill the store with so many events first', wholeNumber(0), 0)
    .action(run);
  return withExample(
    withJson(payments),
    'bench payments --seconds 30 --connections 256 --hot 1',
    'bench payments --bus kafka --instances 2',
  );
}

async function run({ json, ...options }: Arguments): Promise<void> {
  const { benchPayments } = await import('../../../bench/scenarios/payments.ts');
  const result = await withPhases((onPhase) => benchPayments({ ...options, onPhase }));
  if (!result.ledger_balanced || result.errors > 0) foundSomethingWrong();
  if (json) printJson(result);
  else print(result);
}

function print(result: PaymentsResult): void {
  const { post_ms, completion_ms, completion_by_server_ms, cpu } = result;
  console.log(paint('bold', `${result.payments_per_second} completed ${result.method} payments/s`));
  const { bus, instances } = result;
  console.log(`on ${bus}, ${instances === null ? 'one process' : `${instances} of each service and one with the API`}`);
  printDurations({
    POST: post_ms,
    [`to the final status (${result.completion_samples} clients)`]: completion_ms,
    'the same by the server’s clock, all': completion_by_server_ms,
  });
  printFields({
    errors: result.errors === 0 ? '0' : `${result.errors} ${JSON.stringify(result.error_kinds)}`,
    payments: `${result.acknowledged} acknowledged in all, ${result.unfinished} without a final status, ${result.declined} declined`,
    ledger: result.ledger_balanced ? 'balanced: every wallet, and the sum of all accounts' : 'NOT BALANCED',
    events: `${result.events_per_second}/s, ${result.ratio_to_limit} of the limit of ${result.limit_events_per_second}/s`,
    'events before': result.events_before,
    memory: result.rss_mb === undefined ? undefined : `${result.rss_mb} MiB at most, the server`,
    'CPU seconds for 1,000 payments': partsOf(result.cpu_seconds_per_1000),
    cores: partsOf(cpu),
    load: `${result.load_us_per_request} µs of processor time a request, ${result.connections} connections, ${result.seconds} s, hot ${result.hot}`,
    versions: `commit ${result.commit}, Node ${result.node}, PostgreSQL ${result.postgres}`,
  });
}

function partsOf(values: object | undefined): string | undefined {
  return (
    values &&
    Object.entries(values)
      .map(([part, value]) => `${part} ${value}`)
      .join(', ')
  );
}
