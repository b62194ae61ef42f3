import { Command } from 'commander';
import { distance } from '#kernel/core/log-position.ts';
import { readHead } from '#kernel/event-store/postgres/read.ts';
import { readCoverage } from '#kernel/projections/postgres/coverage.ts';
import { countRows } from '#kernel/projections/postgres/twin-table.ts';
import { type RebuildOutcome, rebuild } from '#kernel/projections/rebuild.ts';
import { foundSomethingWrong, wrongUse } from '../failure.ts';
import { withExample, withJson } from '../options.ts';
import { type Column, printJson, printTable } from '../output.ts';
import { createProgress } from '../progress.ts';
import { type KnownReadModel, portsOf, readModels } from '../read-models.ts';
import { withStore } from '../store.ts';

interface ProjectionStatus {
  readonly name: string;
  readonly service: string;
  readonly kept: string;
  readonly position: number;
  readonly lag: number;
  readonly rows: number;
}

const COLUMNS: readonly Column<ProjectionStatus>[] = [
  { title: 'NAME', value: (row) => row.name },
  { title: 'SERVICE', value: (row) => row.service },
  { title: 'KEPT', value: (row) => row.kept },
  { title: 'POSITION', value: (row) => row.position, align: 'right' },
  { title: 'LAG', value: (row) => row.lag, align: 'right' },
  { title: 'ROWS', value: (row) => row.rows, align: 'right' },
];

export function createCommand(): Command {
  const list = new Command('list')
    .description('every read model: how many events of the log it has passed, how many it is behind, its rows')
    .action(listProjections);
  const rebuildOne = new Command('rebuild')
    .description('build a read model anew from the log while the old one serves; swap it in when they are equal')
    .argument('<name>', 'as "projections list" shows it')
    .option('--replace', 'swap it in also when they differ: after its projection, or its table, was mended')
    .action(rebuildProjection);
  withExample(withJson(list), 'projections list');
  withExample(withJson(rebuildOne), 'projections rebuild payments.saga_projections');
  return new Command('projections').addCommand(list).addCommand(rebuildOne);
}

async function listProjections({ json }: { json?: boolean }): Promise<void> {
  const statuses = await withStore(async ({ config, databases, log }) => {
    const found: ProjectionStatus[] = [];
    for (const { name, service, kept, ...model } of await readModels(config, log)) {
      const { pool, topologies } = databases.of(service);
      const { floor } = await readCoverage(pool, model, topologies);
      const head = await readHead(pool);
      const rows = await countRows(pool, model.projection.table);
      found.push({ name, service, kept, position: distance({}, floor), lag: distance(floor, head), rows });
    }
    return found;
  });
  if (json) printJson(statuses);
  else printTable(statuses, COLUMNS, 'no read models');
}

async function rebuildProjection(
  name: string,
  { json, replace }: { json?: boolean; replace?: boolean },
): Promise<void> {
  const outcome = await withStore(async ({ config, databases, log }) => {
    const models = await readModels(config, log);
    const model = models.find((known) => known.name === name);
    if (model === undefined)
      throw wrongUse(`there is no read model ${name}; known are ${models.map(nameOf).join(', ')}`);
    const progress = createProgress('Rebuilding', 0, 'events of the log');
    try {
      const options = { replace: replace ?? false, onProgress: progress.update };
      return await rebuild(model, portsOf(model, databases), options);
    } finally {
      progress.stop();
    }
  });
  if (outcome.different > 0) foundSomethingWrong();
  if (json) printJson({ name, ...outcome });
  else console.log(describe(name, outcome));
}

function describe(name: string, { events, rows, different, examples, swapped }: RebuildOutcome): string {
  const built = `${name}: built ${rows} rows from ${events} events`;
  if (different === 0) return `${built}; equal to the old one, and swapped in`;
  const which = `${different} rows differ from the old one: ${examples.join(', ')}${different > examples.length ? ', …' : ''}`;
  return `${built}\n${which}\n${swapped ? 'Swapped in all the same, as asked.' : 'The old one stays; --replace swaps the new one in all the same.'}`;
}

function nameOf({ name }: KnownReadModel): string {
  return name;
}
