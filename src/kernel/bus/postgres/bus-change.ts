import { ConflictError } from '../../core/errors.ts';
import type { LogPosition } from '../../core/log-position.ts';
import type { Pool } from '../../postgres/pool.ts';
import type { Sql } from '../../postgres/sql.ts';
import { LOG_TOPIC } from '../consumer.ts';
import { hasLiveMember } from './group-store.ts';
import { holdPositions, putOutMembers, readPartitions } from './positions.ts';

/** How consumers of topics note how far they are: by the chains of their own log, or as `kafka/standing.ts` has it. */
export type PositionForm = 'log' | 'kafka';

/**
 * Writes the positions of the consumers of topics as the bus needs them that the process is about to use: what was handled by
 * way of the log is not handled again when it comes by way of Kafka, and the other way round.
 * @param storeId names this store on Kafka
 * @param leaseMs silence after which a process counts as gone
 * @returns the consumers whose positions were rewritten
 * @throws ConflictError while processes run that use the other bus
 */
export function adoptPositions(
  pool: Pool,
  form: PositionForm,
  storeId: string,
  leaseMs: number,
): Promise<readonly string[]> {
  return pool.transaction(async (sql) => {
    await sql.query('SELECT 1 FROM bus_seats ORDER BY consumer FOR UPDATE');
    const consumers = await sql.query<{ consumer: string }>(
      'SELECT DISTINCT consumer FROM bus_partitions WHERE topic <> $1 ORDER BY consumer',
      [LOG_TOPIC],
    );
    const changed: string[] = [];
    for (const { consumer } of consumers)
      if (await adopt(sql, consumer, form, storeId, leaseMs)) changed.push(consumer);
    return changed;
  });
}

async function adopt(sql: Sql, consumer: string, form: PositionForm, storeId: string, leaseMs: number) {
  await holdPositions(sql, consumer);
  const partitions = await readPartitions(sql, consumer);
  if (partitions.every(({ progress }) => isOf(form, progress))) return false;
  if (await hasLiveMember(sql, consumer, leaseMs))
    throw new ConflictError(
      form === 'kafka'
        ? `processes that run without Kafka use this database: stop them, and start this one ${leaseMs} ms later`
        : `processes that run with Kafka use this database: stop them, and start this one ${leaseMs} ms later, or set KAFKA_BROKERS`,
    );
  const convert = form === 'kafka' ? toKafka : toLog;
  await putOutMembers(
    sql,
    consumer,
    partitions.map(({ progress, ...ref }) => ({
      ...ref,
      progress: isOf(form, progress) ? progress : convert(progress, storeId),
    })),
  );
  return true;
}

const IN_LOG = /^\d+$/;

/** What nothing was handled of is of either form. */
function isOf(form: PositionForm, progress: LogPosition): boolean {
  return Object.keys(progress).every((name) => IN_LOG.test(name) === (form === 'log'));
}

/** Without an offset: reading begins at the first message there is, and what was handled is known by its chain. */
function toKafka(progress: LogPosition, storeId: string): LogPosition {
  return Object.fromEntries(Object.entries(progress).map(([chain, position]) => [`${storeId}/${chain}`, position]));
}

/** The positions in the log of the store; those of either form. */
export function toLog(progress: LogPosition, storeId: string): LogPosition {
  if (isOf('log', progress)) return progress;
  const own = `${storeId}/`;
  const chains = Object.entries(progress).filter(([name]) => name.startsWith(own));
  return Object.fromEntries(chains.map(([name, position]) => [name.slice(own.length), position]));
}
