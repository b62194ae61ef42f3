import { Command } from 'commander';
import { makePartitionsAhead } from '#kernel/event-store/postgres/months.ts';
import { type EventPartition, listPartitions } from '#kernel/event-store/postgres/partitions.ts';
import { wholeNumber, withExample, withJson } from '../options.ts';
import { printJson, printTable } from '../output.ts';
import { withStore } from '../store.ts';

const MAX_MONTHS_AHEAD = 120;
const MIB = 2 ** 20;

export function createCommand(): Command {
  const list = new Command('list').description('the months of the event store').action(showList);
  const create = new Command('create')
    .description('make the partitions of this month and the next ones; those that exist stay as they are')
    .option('--months <number>', 'how many months ahead; default: PARTITIONS_AHEAD', wholeNumber(0, MAX_MONTHS_AHEAD))
    .action(createAhead);
  withExample(withJson(list), 'partitions list');
  withExample(withJson(create), 'partitions create --months 12');
  return new Command('partitions').addCommand(list).addCommand(create);
}

async function showList({ json }: { json?: boolean }): Promise<void> {
  const partitions = await withStore(async ({ databases }) => {
    const lists = databases.all.map(async (database) =>
      (await listPartitions(database.pool)).map((partition) => ({
        ...partition,
        services: databases.servicesOf(database),
      })),
    );
    return (await Promise.all(lists)).flat();
  });
  if (json) return printJson(partitions);
  printTable(
    partitions,
    [
      { title: 'PARTITION', value: (row) => row.name },
      { title: 'SERVICES', value: (row) => row.services.join(',') },
      { title: 'MONTH', value: (row) => row.month },
      { title: 'STATE', value: (row) => (row.closed ? 'closed' : 'open') },
      { title: 'ROWS (ABOUT)', value: (row) => row.rows, align: 'right' },
      { title: 'MIB', value: (row) => (row.bytes / MIB).toFixed(1), align: 'right' },
    ],
    'no partitions yet',
  );
}

async function createAhead({ months, json }: { months?: number; json?: boolean }): Promise<void> {
  const made = await withStore(async ({ config, databases }) => {
    const created = new Set<string>();
    for (const { pool } of databases.all) {
      const before = new Set((await listPartitions(pool)).map(nameOf));
      const names = await makePartitionsAhead(pool, Date.now(), months ?? config.partitionsAhead);
      for (const name of names) if (!before.has(name)) created.add(name);
    }
    return [...created];
  });
  if (json) printJson({ created: made });
  else console.log(made.length === 0 ? 'all of them exist already' : `created ${made.join(', ')}`);
}

function nameOf({ name }: EventPartition): string {
  return name;
}
