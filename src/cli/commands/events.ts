import { setTimeout as sleep } from 'node:timers/promises';
import { Command, Option } from 'commander';
import { findInKafka, findInLog } from '#kernel/bus/postgres/landings.ts';
import { placeOf } from '#kernel/bus/topology.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { traceIdOf } from '#kernel/core/event.ts';
import { isUuid, uuidTime } from '#kernel/core/ids.ts';
import type { LogPosition } from '#kernel/core/log-position.ts';
import {
  findEvent,
  findEventAt,
  lastEvents,
  positionBefore,
  type StoredEvent,
} from '#kernel/event-store/postgres/browse.ts';
import { readHead, readLog } from '#kernel/event-store/postgres/read.ts';
import { streamName } from '#kernel/event-store/store.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import type { Database } from '#src/composition/database.ts';
import type { Databases } from '#src/composition/databases.ts';
import { SERVICE_NAMES, type ServiceName } from '#src/config.ts';
import { CliError, wrongUse } from '../failure.ts';
import { wholeNumber, withExample, withJson } from '../options.ts';
import { paint, printFields, printJson, printJsonLine } from '../output.ts';
import { type OpenStore, withStore } from '../store.ts';

const FOLLOW_PAUSE_MS = 250;
const PAGE_SIZE = 500;
const DEFAULT_COUNT = 20;
/** `payment/` and a UUID. */
const STREAM_WIDTH = 44;

interface TailOptions {
  readonly from?: number;
  readonly type?: string;
  readonly limit?: number;
  readonly follow?: boolean;
  readonly service: ServiceName;
  readonly json?: boolean;
}

export function createCommand(): Command {
  const tail = new Command('tail')
    .description('the last events; with --from those from there on')
    .option('--from <sequence>', 'start at this global sequence number', wholeNumber(0))
    .option('--type <type>', 'only events of this type')
    .option('--limit <number>', `how many at most; without --from ${DEFAULT_COUNT}`, wholeNumber(1))
    .option('--follow', 'go on with those that come, until Ctrl-C')
    .addOption(
      new Option('--service <service>', 'where services have databases of their own: in whose')
        .choices(SERVICE_NAMES)
        .default('payments'),
    )
    .action((options: TailOptions) => withStore((store) => tailEvents(store, options)));
  const show = new Command('show')
    .description('one event, and where it stands in the log and on the bus')
    .argument('<event>', 'its id, or where it is in Kafka: topic/partition/offset')
    .action((event: string, options: { json?: boolean }) => withStore((store) => showEvent(store, event, options)));
  withExample(withJson(tail), 'events tail --type payments.approved --follow');
  withExample(withJson(show), 'events show 019ad8f2-5f0b-7c11-9c5e-5a8f0f3b2d10');
  return new Command('events').addCommand(tail).addCommand(show);
}

async function tailEvents({ databases }: OpenStore, options: TailOptions): Promise<void> {
  const print = (event: RecordedEvent): void => (options.json ? printJsonLine(event) : console.log(eventLine(event)));
  const sql = databases.of(options.service).pool;
  if (options.from !== undefined) return printFrom(sql, await positionBefore(sql, options.from), options, print);
  const head = await readHead(sql);
  const { type, limit = DEFAULT_COUNT } = options;
  const latest = await lastEvents(sql, { upTo: head, limit, ...(type !== undefined && { type }) });
  for (const event of latest) print(event);
  if (options.follow) await printFrom(sql, head, { ...options, limit: Number.POSITIVE_INFINITY }, print);
}

/** Prints what comes after the position, up to the end of the log, or with `follow` until Ctrl-C. */
async function printFrom(
  sql: Sql,
  start: LogPosition,
  options: TailOptions,
  print: (event: RecordedEvent) => void,
): Promise<void> {
  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort();
  process.once('SIGINT', interrupt);
  let left = options.limit ?? Number.POSITIVE_INFINITY;
  let position = start;
  while (left > 0 && !interrupted.signal.aborted) {
    const page = await readLog(sql, position, {
      limit: Math.min(PAGE_SIZE, left),
      ...(options.type !== undefined && { types: [options.type] }),
    });
    for (const event of page.events.slice(0, left)) print(event);
    left -= page.events.length;
    position = page.next;
    if (page.atEnd && !options.follow) break;
    if (page.atEnd) await sleep(FOLLOW_PAUSE_MS, undefined, { signal: interrupted.signal }).catch(() => undefined);
  }
  process.removeListener('SIGINT', interrupt);
}

function eventLine(event: RecordedEvent): string {
  const { sequence, time, type, aggregateType, aggregateId, id, data } = event;
  const stream = streamName({ type: aggregateType, id: aggregateId });
  const amount = data.amount === undefined ? '' : ` ${data.amount} ${data.currency ?? ''}`;
  const outcome = [data.status, data.reason].filter((part) => part !== undefined).join(' ');
  const head = `${String(sequence).padStart(8)}  ${paint('dim', new Date(time).toISOString())}  ${paint('cyan', type.padEnd(26))}`;
  return `${head}  ${stream.padEnd(STREAM_WIDTH)}${amount}${outcome === '' ? '' : `  ${outcome}`}  ${paint('dim', id)}`;
}

/** @param given an event's id, or `topic/partition/offset` */
async function findGiven({ all }: Databases, given: string): Promise<{ database: Database; stored: StoredEvent }> {
  const look = lookFor(given);
  for (const database of all) {
    const stored = await look.find(database.pool);
    if (stored !== undefined) return { database, stored };
  }
  throw new CliError(look.missing);
}

/** How what was given is looked for in one database, and what is said when none has it. */
function lookFor(given: string): { find(sql: Sql): Promise<StoredEvent | undefined>; readonly missing: string } {
  const [, topic, partition, offset] = /^([\w.-]+)\/(\d{1,6})\/(\d{1,15})$/.exec(given) ?? [];
  if (topic !== undefined) {
    const landing = { topic, partition: Number(partition), offset: Number(offset) };
    const find = async (sql: Sql) => {
      const place = await findInLog(sql, landing);
      return place && findEventAt(sql, place);
    };
    return { find, missing: `this store has no event that landed at ${given}` };
  }
  const id = given.toLowerCase();
  if (!isUuid(id) || uuidTime(id) === undefined)
    throw wrongUse(`${given} is neither the id of an event (those are UUIDv7) nor topic/partition/offset`);
  return { find: (sql) => findEvent(sql, id), missing: `there is no event ${id}` };
}

async function showEvent({ databases }: OpenStore, given: string, options: { json?: boolean }): Promise<void> {
  const { database, stored } = await findGiven(databases, given);
  const { event, storedAt } = stored;
  const place = placeOf(database.topologies[0], event);
  const kafka = await findInKafka(database.pool, { chain: event.chain, position: event.chainPosition });
  if (options.json)
    return printJson({ ...event, stored_at: new Date(storedAt).toISOString(), place: place ?? null, kafka });
  printFields({
    event: `${event.type} v${event.version}`,
    id: event.id,
    stream: `${streamName({ type: event.aggregateType, id: event.aggregateId })} at ${event.streamPosition}`,
    log: `chain ${event.chain} at ${event.chainPosition}, sequence number ${event.sequence}`,
    happened: new Date(event.time).toISOString(),
    stored: new Date(storedAt).toISOString(),
    bus:
      place === undefined ? 'on no topic: internal' : `${place.topic}, partition ${place.partition}, key ${place.key}`,
    kafka:
      kafka.length === 0
        ? undefined
        : kafka.map(({ topic, partition, offset }) => `${topic}/${partition}/${offset}`).join(', '),
    trace: traceIdOf(event.metadata.traceparent),
    correlation: event.metadata.correlationid,
    caused_by: event.metadata.causationid,
  });
  console.log(JSON.stringify(event.data, null, 2));
}
