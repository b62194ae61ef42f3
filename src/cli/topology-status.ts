import type { ComparisonSummary, MigrationStatus } from '#src/composition/migration-status.ts';
import { printFields, printTable, shortTime } from './output.ts';

/** Says for people how far a store is on its way to another topology. */
export function printStatus({ current, target, since_at, relay_waiting, consumers, compared }: MigrationStatus): void {
  const there = consumers.filter(({ topology }) => topology === target).length;
  printFields({
    topology: current,
    'on its way to': target,
    'both written since': target && shortTime(since_at),
    'consumers there': target && `${there} of ${consumers.length}`,
    'last compared': compared && describe(compared),
    'not in Kafka yet': relay_waiting === undefined ? undefined : `${relay_waiting} events`,
  });
  console.log();
  printTable(
    consumers,
    [
      { title: 'CONSUMER', value: (seat) => seat.consumer, style: () => 'bold' },
      { title: 'TOPOLOGY', value: (seat) => seat.topology },
      { title: 'SINCE (UTC)', value: (seat) => shortTime(seat.moved_at) },
      { title: 'WAITING', value: (seat) => seat.waiting, align: 'right' },
    ],
    'no service has run yet',
  );
  if (compared !== undefined && compared.differences > 0) printDifferences(compared);
  if (target === undefined) return;
  if (there < consumers.length) console.log(`\nGo on: topology migrate ${target}. Undo: topology migrate --back.`);
  else console.log('\nUndo: topology migrate --back. When you are sure: topology migrate --retire.');
}

/** Says for people what was found. */
export function printComparison(compared: ComparisonSummary): void {
  printFields({
    compared: shortTime(compared.at),
    events: compared.events,
    keys: compared.keys,
    'sent again by the relay': compared.repeats || undefined,
    'no events of this store': compared.foreign || undefined,
    'older events left out': compared.left_out || undefined,
    differences: compared.accepted ? `${compared.differences}, accepted` : String(compared.differences),
  });
  if (compared.differences > 0) printDifferences(compared);
}

function printDifferences({ differences, examples }: ComparisonSummary): void {
  console.log();
  printTable(
    examples,
    [
      { title: 'DIFFERENCE', value: (row) => row.kind, style: () => 'red' },
      { title: 'TOPIC', value: (row) => `${row.topic}/${row.partition}` },
      { title: 'KEY', value: (row) => row.key },
      { title: 'BEFORE', value: (row) => row.before, align: 'right' },
      { title: 'THERE', value: (row) => row.after, align: 'right' },
      { title: 'EVENTS', value: (row) => row.events.join(' ') },
    ],
    '',
  );
  if (differences > examples.length) console.log(`… and ${differences - examples.length} more`);
}

function describe({ at, events, keys, differences, accepted }: ComparisonSummary): string {
  const outcome = differences === 0 ? 'the same' : `${differences} differences${accepted ? ', accepted' : ''}`;
  return `${shortTime(at)}: ${events} events of ${keys} keys, ${outcome}`;
}
