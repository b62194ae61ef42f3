import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import { describeFailure } from './failure.ts';

interface Verb {
  readonly summary: string;
  load(): Promise<{ createCommand(): Command }>;
}

/** Each verb's file is loaded when it is asked for, so that the command line starts fast. */
const VERBS: Readonly<Record<string, Verb>> = {
  start: { summary: 'start every service, until Ctrl-C', load: () => import('./commands/start.ts') },
  import: { summary: 'bring in a file of past movements', load: () => import('./commands/import.ts') },
  payments: { summary: 'list, show and refund payments', load: () => import('./commands/payments.ts') },
  wallets: { summary: 'balances and statements', load: () => import('./commands/wallets.ts') },
  events: { summary: 'read the log of everything that happened', load: () => import('./commands/events.ts') },
  dlq: { summary: 'messages that could not be handled', load: () => import('./commands/dlq.ts') },
  sagas: { summary: 'what carries payments to their end', load: () => import('./commands/sagas.ts') },
  projections: { summary: 'read models: how far behind, and rebuild', load: () => import('./commands/projections.ts') },
  partitions: { summary: 'the months of the event store', load: () => import('./commands/partitions.ts') },
  topology: { summary: 'which topics there are, and what is on them', load: () => import('./commands/topology.ts') },
  verify: {
    summary: 'prove that nothing was altered and every balance is right',
    load: () => import('./commands/verify.ts'),
  },
  simulate: {
    summary: 'run the platform through disasters in virtual time, by a seed',
    load: () => import('./commands/simulate.ts'),
  },
  bench: { summary: 'measure how fast it is on this machine', load: () => import('./commands/bench.ts') },
  kafka: { summary: 'a Kafka of your own on this machine, to try with', load: () => import('./commands/kafka.ts') },
  cluster: {
    summary: 'a whole cluster of processes on this machine, to try with',
    load: () => import('./commands/cluster.ts'),
  },
  config: { summary: 'every setting, its value and its meaning', load: () => import('./commands/config.ts') },
};

const DONE = 0;
const WRONG_USE = 2;

const MORE_HELP = `
Verbs that read or move money ask the running system: CAUDAL_URL, or http://127.0.0.1:$PORT.
Verbs that maintain the store open the database: DATABASE_URL, or the one in CAUDAL_DATA.

Exit codes: 0 done, 1 it found something wrong, 2 wrong use.`;

async function createProgram(verb: string | undefined): Promise<Command> {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'));
  const program = new Command('caudal')
    .description('Event-sourced platform that takes and moves money.')
    .version(version)
    .addHelpText('after', MORE_HELP)
    // What follows a verb is the verb's: "kafka tool topics --version" asks for the version of that tool.
    .enablePositionalOptions();
  for (const [name, { summary, load }] of Object.entries(VERBS)) {
    const command = name === verb ? (await load()).createCommand() : new Command(name);
    program.addCommand(command.description(summary));
  }
  throwInsteadOfExit(program);
  return program;
}

/** Commander would exit with 1 where the use is wrong. */
function throwInsteadOfExit(command: Command): void {
  command.exitOverride();
  for (const child of command.commands) throwInsteadOfExit(child);
}

async function main(args: readonly string[]): Promise<void> {
  try {
    const program = await createProgram(args[0]);
    await program.parseAsync(args, { from: 'user' });
  } catch (cause) {
    process.exitCode = cause instanceof CommanderError ? useCode(cause) : describeFailure(cause);
  }
}

function useCode(error: CommanderError): number {
  return error.exitCode === DONE ? DONE : WRONG_USE;
}

// The reader of a pipe may leave early: caudal events tail | head
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? DONE : describeFailure(error));
});

await main(process.argv.slice(2));
