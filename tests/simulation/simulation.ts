import { lanesOf } from '#kernel/bus/topology.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { serviceDefinitions } from '#src/composition/services.ts';
import type { ServiceName } from '#src/config.ts';
import { topologyOf } from '#src/topologies.ts';
import { createRandom } from '../support/random.ts';
import { createTableAudit } from './audit.ts';
import { createClients } from './clients.ts';
import { createDatabase } from './database.ts';
import { createFaults, type FaultOptions, seedOf } from './faults.ts';
import { createCardGateway } from './gateway.ts';
import { createHistory } from './history.ts';
import { createMonkey } from './monkey.ts';
import { createPlatform } from './platform.ts';
import type { World } from './process.ts';
import { reckon } from './reckoning.ts';
import { chooseLayout } from './settings.ts';
import { createVirtualTime } from './virtual-time.ts';
import { describeOperation, isOpening, type Operation, planWorkload } from './workload.ts';

export interface SimulationOptions {
  readonly seed: number;
  readonly payments: number;
  readonly faults?: FaultOptions;
  /** Some of the plan only; default: all of it. */
  readonly keep?: (operation: Operation, index: number) => boolean;
  /** Told of every line of the history. */
  readonly onLine?: (line: string) => void;
}

/** What a simulation did, and what it found. */
export interface SimulationReport {
  readonly seed: number;
  readonly payments: number;
  /** Empty when every invariant held. */
  readonly findings: readonly string[];
  /** SHA-256 of the history. */
  readonly digest: string;
  readonly steps: number;
  readonly events: number;
  /** Virtual milliseconds, in all and after everything was healed. */
  readonly virtualMs: number;
  readonly healingMs: number;
  readonly processes: string;
  readonly statuses: Readonly<Record<string, number>>;
  readonly faults: Readonly<Record<string, number>>;
  /** Each fault that happened, as `name#number`. */
  readonly happened: readonly string[];
  readonly operations: number;
  /** The last lines of the history. */
  readonly lines: readonly string[];
}

const START = Date.UTC(2026, 10, 30, 23, 50);
/** Faults end so long after the last operation was begun. */
const FAULTS_AFTER_MS = 5_000;
/** By then a process without others believes to be alone; some seeds begin before. */
const WARM_UP_MS = [0, 8_000] as const;
const LOOK_MS = 1_000;
/** By then everything must have come to its end: longer than every wait of the settings, several times. */
const HEALING_LIMIT_MS = 900_000;
/** Read models that follow the log have caught up after so long, and so much more for each event. */
const REST_MS = 6_000;
const REST_MS_PER_EVENT = 1;
const LINES_KEPT = 4_000;

/**
 * Runs the platform in virtual time: first with faults, looking at the money after every step; then healed, until
 * everything has come to its end.
 */
export async function simulate(options: SimulationOptions): Promise<SimulationReport> {
  const { seed } = options;
  const time = createVirtualTime(START);
  const history = createHistory(time.now, LINES_KEPT, options.onLine);
  const { note } = history;
  const faults = createFaults(seed, options.faults ?? {}, note);
  const layout = chooseLayout(seed);
  const database = createDatabase(time, createRandom(seedOf(seed, 'network')), faults);
  const gateway = createCardGateway(time, faults, (notification) => platform.deliver(notification));
  const world: World = {
    seed,
    layout,
    time,
    faults,
    database,
    gateway,
    note,
    wakeOthers: (of) => platform.wakeOthers(of),
  };
  const platform = createPlatform(world);
  const audit = createTableAudit(database.tables, lanesOf([topologyOf(layout.config)]));
  const isApproved = (id: string): boolean => audit.auditor.payment(id)?.final === 'APPROVED';
  const clients = createClients(world, createRandom(seedOf(seed, 'clients')), platform.choose, isApproved);
  const monkey = createMonkey(world, platform);
  const plan = planWorkload(seed, options.payments).filter(options.keep ?? (() => true));
  const events: RecordedEvent[] = [];
  const findings: string[] = [];

  const look = (): void => {
    const seen = audit.look();
    for (const event of seen.events) {
      events.push(event);
      note(describeEvent(event));
    }
    for (const { invariant, message } of seen.findings) findings.push(`${invariant}: ${message}`);
  };

  /** @returns false when a finding ended it, or nothing is left to happen */
  const runUntil = async (isOver: () => boolean): Promise<void> => {
    while (findings.length === 0 && !isOver()) {
      if (!(await time.step())) throw new Error('nothing is left to happen: the simulation is at fault');
      look();
    }
  };

  platform.start();
  monkey.start();
  const ask = (operation: Operation): void => {
    note(`ask ${describeOperation(operation)}`);
    clients.begin(operation);
  };
  const openings = plan.filter(isOpening);
  for (const kind of ['open', 'move', 'stock']) {
    for (const operation of openings) if (operation.kind === kind) ask(operation);
    await runUntil(() => clients.waiting === 0);
  }
  const openedAt = time.now() + createRandom(seedOf(seed, 'warm-up')).pick(WARM_UP_MS);
  for (const operation of plan)
    if (!isOpening(operation)) time.after(openedAt - time.now() + operation.at, () => ask(operation));
  const lastAt = openedAt + (plan.at(-1)?.at ?? 0);
  await runUntil(() => time.now() > lastAt + FAULTS_AFTER_MS);
  note('healed');
  faults.heal();
  monkey.heal();
  const healedAt = time.now();
  let lookedAt = 0;
  const isAtRest = (): boolean => {
    if (time.now() - lookedAt < LOOK_MS) return false;
    lookedAt = time.now();
    return clients.waiting === 0 && gateway.pending === 0 && audit.auditor.atRest().length === 0;
  };
  await runUntil(() => isAtRest() || time.now() - healedAt > HEALING_LIMIT_MS);
  const restAt = time.now();
  await runUntil(() => time.now() - restAt > REST_MS + events.length * REST_MS_PER_EVENT);
  if (findings.length === 0) {
    if (clients.waiting > 0) findings.push(`${clients.waiting} requests were never answered`);
    const definitions = serviceDefinitions(platform.inputs);
    const { tables } = database;
    const { told } = clients;
    const calm = Object.keys(faults.counts).length === 0;
    const limits = { ...layout.gatewaySettings, ...layout.stockSettings };
    findings.push(...clients.complaints);
    const record = gateway.record();
    findings.push(...reckon({ plan, told, auditor: audit.auditor, events, tables, record, definitions, calm, limits }));
  }
  for (const finding of findings) note(`FINDING ${finding}`);
  platform.abandon();
  return {
    seed,
    payments: options.payments,
    findings,
    digest: history.digest(),
    steps: time.steps,
    events: events.length,
    virtualMs: time.now() - START,
    healingMs: restAt - healedAt,
    processes: layout.processes.map((services: readonly ServiceName[]) => services.join('+')).join(' | '),
    statuses: countStatuses(events),
    faults: faults.counts,
    happened: faults.happened,
    operations: plan.length,
    lines: history.lines,
  };
}

function describeEvent({
  id,
  type,
  aggregateId,
  streamPosition,
  chain,
  chainPosition,
  metadata,
}: RecordedEvent): string {
  const { correlationid, causationid } = metadata;
  const process = correlationid === aggregateId ? '' : ` for ${correlationid}`;
  const cause = causationid === undefined ? '' : ` after ${causationid}`;
  return `event ${id} ${type} ${aggregateId}/${streamPosition} in ${chain}/${chainPosition}${process}${cause}`;
}

function countStatuses(events: readonly RecordedEvent[]): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { type, data } of events) {
    if (type !== 'payments.approved' && type !== 'payments.declined' && type !== 'payments.failed') continue;
    const key = `${data.status} ${data.reason}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return Object.fromEntries(Object.entries(counts).sort());
}
