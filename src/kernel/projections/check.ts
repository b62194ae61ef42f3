import { LOG_START } from '../core/log-position.ts';
import { createBuild, type ReadModel } from './build.ts';
import { readCoverage, readUnhandled } from './postgres/coverage.ts';
import { type Comparison, compareTables, createTwin, dropTwin, twinOf } from './postgres/twin-table.ts';
import type { RebuildPorts } from './rebuild.ts';

/**
 * Compares a read model with what the log says that it must hold, while everything goes on: in one snapshot of the
 * database, in which rows, positions and events belong together, the log is folded into a temporary table.
 * @param onProgress log positions passed
 */
export function checkReadModel(
  { projection, ...source }: ReadModel,
  { pool, topologies, others = [] }: RebuildPorts,
  onProgress: (passed: number) => void,
): Promise<Comparison> {
  const { table } = projection;
  const twin = { ...twinOf(table), name: `pg_temp.${table.name.replace('.', '_')}` };
  return pool.transaction(async (sql) => {
    await sql.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ');
    await sql.query('SET LOCAL statement_timeout = 0');
    await createTwin(sql, table, twin);
    const { waiting, discarded } = await readUnhandled(sql, source.consumer);
    const { ceiling, covers } = await readCoverage(sql, source, topologies);
    const build = createBuild(projection, twin, new Set([...waiting, ...discarded]));
    await build.fold(sql, { from: LOG_START, to: ceiling, covers }, onProgress);
    for (const log of others) await build.foldOther(sql, log, await readCoverage(sql, source, topologies, log.storeId));
    const comparison = await compareTables(sql, projection, twin);
    await dropTwin(sql, twin);
    return comparison;
  });
}
