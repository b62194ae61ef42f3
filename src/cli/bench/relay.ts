import { Command } from 'commander';
import type { RelayOptions, RelayResult } from '../../../bench/scenarios/relay.ts';
import { foundSomethingWrong } from '../failure.ts';
import { wholeNumber, withExample, withJson } from '../options.ts';
import { paint, printFields, printJson, printTable } from '../output.ts';
import { withPhases } from './phases.ts';

type Arguments = Omit<RelayOptions, 'onPhase'> & { readonly json?: boolean };

const DEFINITIONS = `
The store is filled by wallet payments while no Kafka runs. Then its relay alone carries everything to a Kafka of one broker that is
empty. MESSAGES are on the topic; LANDINGS are the offsets that the store has noted, LANDED the different events they are noted for.`;

export function relayCommand(): Command {
  const relay = new Command('relay')
    .description('events a second that the relay carries from the log to Kafka')
    .option('--events <number>', 'fill the store with so many events first', wholeNumber(1), 500_000)
    .option('--profile <folder>', 'write a CPU profile of the relay there')
    .addHelpText('after', DEFINITIONS)
    .action(run);
  return withExample(withJson(relay), 'bench relay --events 500000');
}

async function run({ json, ...options }: Arguments): Promise<void> {
  const { benchRelay } = await import('../../../bench/scenarios/relay.ts');
  const result = await withPhases((onPhase) => benchRelay({ ...options, onPhase }));
  if (!result.complete) foundSomethingWrong();
  if (json) printJson(result);
  else print(result);
}

function print(result: RelayResult): void {
  const { cpu_seconds: cpu } = result;
  console.log(paint('bold', `${result.events_per_second} events/s to Kafka`));
  printTable(
    result.topics.filter(({ events, messages }) => events + messages > 0),
    [
      { title: 'TOPIC', value: (row) => row.topic },
      { title: 'EVENTS', value: (row) => row.events, align: 'right' },
      { title: 'MESSAGES', value: (row) => row.messages, align: 'right' },
      { title: 'LANDINGS', value: (row) => row.landings, align: 'right' },
      { title: 'LANDED', value: (row) => row.landed, align: 'right' },
    ],
    '',
  );
  printFields({
    topics: result.complete ? 'each holds its events, every one once, and all are noted' : 'NOT COMPLETE',
    events: `${result.events} in ${result.seconds} s`,
    'CPU seconds': cpu && `relay ${cpu.relay}, PostgreSQL ${cpu.postgres}, Kafka ${cpu.kafka}`,
    versions: `commit ${result.commit}, Node ${result.node}, PostgreSQL ${result.postgres}`,
  });
}
