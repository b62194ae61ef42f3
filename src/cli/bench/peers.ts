import { Command, InvalidArgumentError } from 'commander';
import type { PeerCell, PeersOptions, PeersResult, Tool } from '../../../bench/scenarios/peers.ts';
import { foundSomethingWrong } from '../failure.ts';
import { wholeNumber, withExample, withJson } from '../options.ts';
import { paint, printFields, printJson, printTable } from '../output.ts';
import { withPhases } from './phases.ts';

type Arguments = Omit<PeersOptions, 'onPhase'> & { readonly json?: boolean };

const TOOLS: readonly Tool[] = ['caudal-http', 'caudal-kernel', 'sql', 'emmett', 'dbos'];
const MAX_CONCURRENT = 1000;

const DEFINITIONS = `
Tools, one after another, each on an empty PostgreSQL with the settings of Caudal's own, fsync on:
  caudal-http    a wallet payment by the API, answered when it is final: more than a transfer (fraud check, saga, three ledger
                 accounts, a read model, HTTP), one wallet instead of two; its clients are another process
  caudal-kernel  the kernel without HTTP: debit of one wallet and credit of another, together or not at all
  sql            one function in one transaction, rows locked in order, repeated after a deadlock
  emmett         @event-driven-io/emmett-postgresql: a stream for each transfer, balances an inline projection in SQL
  dbos           @dbos-inc/dbos-sdk: a durable workflow for each transfer, whose one step is the function of "sql"
All but caudal-http are libraries, called in the process that makes the load. emmett and dbos are installed by npm into a temporary
folder for the run.

CONCURRENT callers have one transfer each on its way and ask for the next when told the outcome, so a slow tool is asked less. MS:
from asking until the outcome is durable and told. CORES: what the tool's process used, with the load in it but for caudal-http.
uniform: any account at random to any other (caudal-http: out of each wallet in turn); hot: all into one account (caudal-http: out of
one). --pool is for the libraries; the server of caudal-http has its own settings. Before measuring, each tool is shown to make a
transfer once and to refuse one that is not covered (caudal-http: in the project's tests). Afterwards the sum of all balances must be
what it was, none below zero, and every transfer there that was told to be done.`;

export function peersCommand(): Command {
  const peers = new Command('peers')
    .description('the same transfer by other tools on the same PostgreSQL')
    .option('--tools <names>', `which of ${TOOLS.join(',')}`, tools, TOOLS)
    .option('--concurrent <numbers>', 'callers at once, by comma', counts, [1, 8, 64, 256])
    .option('--seconds <number>', 'how long is measured each time', wholeNumber(1, 3600), 10)
    .option('--warm-up <number>', 'seconds of load before each measurement', wholeNumber(0, 3600), 2)
    .option('--accounts <number>', 'how many accounts there are', wholeNumber(3, 1_000_000), 1000)
    .option('--pool <number>', 'connections in each pool of a tool', wholeNumber(1, 40), 32)
    .addHelpText('after', DEFINITIONS)
    .action(run);
  return withExample(withJson(peers), 'bench peers --concurrent 1,8,64,256 --seconds 10');
}

function tools(text: string): readonly Tool[] {
  return text.split(',').map((name) => {
    const tool = TOOLS.find((known) => known === name);
    if (tool === undefined) throw new InvalidArgumentError(`There is no ${name}; known are ${TOOLS.join(', ')}.`);
    return tool;
  });
}

function counts(text: string): readonly number[] {
  return text.split(',').map(wholeNumber(1, MAX_CONCURRENT));
}

async function run({ json, ...options }: Arguments): Promise<void> {
  const { benchPeers } = await import('../../../bench/scenarios/peers.ts');
  const result = await withPhases((onPhase) => benchPeers({ ...options, onPhase }));
  const failed = result.cells.some(({ errors, unfinished, refused }) => errors + unfinished + refused > 0);
  if (failed || result.checks.some(({ right }) => !right)) foundSomethingWrong();
  if (json) printJson(result);
  else print(result);
}

function print(result: PeersResult): void {
  console.log(paint('bold', 'The same transfer by each tool'));
  printTable<PeerCell>(
    result.cells,
    [
      { title: 'TOOL', value: (cell) => cell.tool },
      { title: 'ACCOUNTS', value: (cell) => cell.spread },
      { title: 'CONCURRENT', value: (cell) => cell.concurrent, align: 'right' },
      { title: 'TRANSFERS/S', value: (cell) => cell.transfers_per_second, align: 'right' },
      { title: 'P50 MS', value: (cell) => cell.ms.p50, align: 'right' },
      { title: 'P99 MS', value: (cell) => cell.ms.p99, align: 'right' },
      { title: 'CORES', value: (cell) => cell.cores, align: 'right' },
      { title: 'ERRORS', value: (cell) => cell.errors, align: 'right' },
      { title: 'UNFINISHED', value: (cell) => cell.unfinished, align: 'right' },
    ],
    '',
  );
  const errors = result.cells.flatMap(({ tool, error_kinds }) =>
    Object.entries(error_kinds).map(([kind, count]) => `${tool}: ${count} × ${kind}`),
  );
  printFields({
    checked: result.checks
      .map(({ tool, right, transfers }) => `${tool} ${right ? 'right' : 'WRONG'} after ${transfers} transfers`)
      .join(', '),
    errors: errors.join('; '),
    load: `${result.accounts} accounts, pools of ${result.pool}, ${result.seconds} s each after ${result.warm_up} s of warming up`,
    versions: `commit ${result.commit}, Node ${result.node}, PostgreSQL ${result.postgres_major}; ${Object.entries(
      result.versions,
    )
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}`,
  });
}
