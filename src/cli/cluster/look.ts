import { partitionShares } from '#kernel/bus/postgres/ownership.ts';
import { toError } from '#kernel/core/errors.ts';
import type { HealthReport } from '#kernel/observability/health.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import { type Role, SERVICE_NAMES } from '#src/config.ts';
import type { Instance, Life } from './instance.ts';
import { readSeries, type Series, sumOf } from './series.ts';

/** A health check of a process gives up after 2 s; who answers later than that is stuck. */
const PROBE_LIMIT_MS = 2_500;
/** A rate is that of the last so many looks. */
const RATE_LOOKS = 5;
/** The final statuses of payments, as the processes that bring them about count them. */
const COMPLETED = ['payment_approved_total', 'payment_declined_total', 'payment_failed_total'];
/** The relay's is shown for the whole cluster, and the monitor takes its time. */
const NOT_OF_PROCESS = ['relay', 'monitor'];

export type State = 'starting' | 'ok' | 'degraded' | 'unhealthy' | 'silent' | 'stopping' | 'ended';

/** One process, as it was at the last look. What nobody could say is absent. */
export interface InstanceView {
  readonly name: string;
  readonly role: Role;
  readonly state: State;
  /** Why it is not ok, or how it ended. */
  readonly reason?: string;
  readonly againInSeconds?: number;
  readonly pid?: number;
  readonly url?: string;
  readonly cpuSeconds?: number;
  readonly memoryBytes?: number;
  /** Partitions of its service's topics that it handles. */
  readonly partitions?: number;
  /** What else it does for all: the relay, read models, the monitor. */
  readonly also: readonly string[];
  /** Events that its service and its read models have not handled. */
  readonly lag?: number;
  readonly restarts: number;
  readonly logFile: string;
}

/** The cluster, as it was at the last look. */
export interface ClusterView {
  readonly time: string;
  readonly instances: readonly InstanceView[];
  /** Since the cluster was started. */
  readonly paymentsCompleted: number;
  readonly paymentsPerSecond: number;
  /** Events that have not arrived in Kafka; absent while no process says so, and without Kafka. */
  readonly relayLag?: number;
  /** Partitions of services that nobody handles at this moment. */
  readonly partitionsWithoutOwner: number;
  /** Why the partitions are not known. */
  readonly problem?: string;
}

/** What one process says of itself. */
interface Answer {
  readonly health: HealthReport;
  readonly metrics: readonly Series[];
}

/** What the store says of the processes. */
interface Owners {
  /** Undefined when the role consumes nothing. */
  partitionsOf(member: string, role: Role): number | undefined;
  othersOf(member: string, role: Role): readonly string[];
  readonly without: number;
  readonly problem?: string;
}

/**
 * Looks at the processes: each tells its health and its metrics, and the store who has which partitions.
 * @returns looks once; to be called again when the look before is over
 */
export function createObserver(instances: readonly Instance[], sql: Sql): () => Promise<ClusterView> {
  const countCompleted = createCounter();
  let completed = 0;
  let looks: { readonly at: number; readonly completed: number }[] = [{ at: performance.now(), completed: 0 }];

  const rate = (): number => {
    looks = [...looks.slice(-RATE_LOOKS), { at: performance.now(), completed }];
    const seconds = (looks.at(-1)!.at - looks[0]!.at) / 1000;
    return Math.round((10 * (completed - looks[0]!.completed)) / seconds) / 10;
  };

  return async () => {
    // A process may end, or begin anew, while we look.
    const lives = instances.map((instance) => instance.life);
    const [owners, ...answers] = await Promise.all([ownersOf(sql), ...lives.map(ask)]);
    for (const [i, answer] of answers.entries()) {
      if (answer !== undefined) completed += countCompleted(lives[i]!.member!, sumOf(answer.metrics, COMPLETED));
    }
    const relays = answers.flatMap((answer) => lagsOf(answer?.metrics ?? [], (consumer) => consumer === 'relay'));
    return {
      time: new Date().toISOString(),
      instances: instances.map((instance, i) => viewOf(instance, lives[i]!, answers[i], owners)),
      paymentsCompleted: completed,
      paymentsPerSecond: rate(),
      ...(relays.length > 0 && { relayLag: Math.max(...relays) }),
      partitionsWithoutOwner: owners.without,
      ...(owners.problem !== undefined && { problem: owners.problem }),
    };
  };
}

/** @returns how much the counter of a process has grown: a process begins at 0, and its name is never used again */
function createCounter(): (member: string, total: number) => number {
  const before = new Map<string, number>();
  return (member, total) => {
    const grown = total - (before.get(member) ?? 0);
    before.set(member, total);
    return grown;
  };
}

/** Undefined when it does not run, or does not answer. */
async function ask({ state, url }: Life): Promise<Answer | undefined> {
  if (state !== 'running') return undefined;
  const get = (path: string) => fetch(url + path, { signal: AbortSignal.timeout(PROBE_LIMIT_MS) });
  try {
    const [health, metrics] = await Promise.all([get('/health'), get('/metrics')]);
    return { health: (await health.json()) as HealthReport, metrics: readSeries(await metrics.text()) };
  } catch {
    return undefined;
  }
}

async function ownersOf(sql: Sql): Promise<Owners> {
  try {
    const shares = await partitionShares(sql);
    const ofServices = shares.filter(({ consumer }) => SERVICE_NAMES.some((name) => name === consumer));
    const sum = (rows: typeof shares) => rows.reduce((total, { partitions }) => total + partitions, 0);
    return {
      partitionsOf: (member, role) => {
        const ofRole = shares.filter(({ consumer }) => consumer === role);
        return ofRole.length === 0 ? undefined : sum(ofRole.filter(({ instance }) => instance === member));
      },
      othersOf: (member, role) =>
        shares
          .filter(({ consumer, instance }) => instance === member && consumer !== role)
          .map(({ consumer }) => consumer),
      without: sum(ofServices.filter(({ instance }) => instance === null)),
    };
  } catch (cause) {
    const problem = `PostgreSQL does not say who has which partitions: ${toError(cause).message}`;
    return { partitionsOf: () => undefined, othersOf: () => [], without: 0, problem };
  }
}

function viewOf(instance: Instance, life: Life, answer: Answer | undefined, owners: Owners): InstanceView {
  const { name, role, logFile, restarts } = instance;
  const { pid, url, member, againAt } = life;
  const partitions = member === undefined ? undefined : owners.partitionsOf(member, role);
  const again = againAt === undefined ? undefined : Math.max(0, Math.ceil((againAt - performance.now()) / 1000));
  return {
    name,
    role,
    ...stateOf(life, answer),
    ...(again !== undefined && { againInSeconds: again }),
    ...(pid !== undefined && { pid }),
    ...(url !== undefined && { url }),
    ...(answer !== undefined && figuresOf(answer.metrics)),
    ...(partitions !== undefined && { partitions }),
    also: member === undefined ? [] : owners.othersOf(member, role),
    restarts,
    logFile,
  };
}

function stateOf(life: Life, answer: Answer | undefined): Pick<InstanceView, 'state' | 'reason'> {
  if (life.state === 'ended') return { state: 'ended', ...(life.ending !== undefined && { reason: life.ending }) };
  if (life.state !== 'running') return { state: life.state };
  if (answer === undefined) return { state: 'silent', reason: `no answer within ${PROBE_LIMIT_MS / 1000} s` };
  const { status, checks } = answer.health;
  if (status === 'healthy') return { state: 'ok' };
  const reasons = Object.entries(checks).flatMap(([check, part]) =>
    part.status === 'healthy' ? [] : [`${check}: ${part.detail ?? part.status}`],
  );
  return { state: status, reason: reasons.join('; ') };
}

function figuresOf(metrics: readonly Series[]): Pick<InstanceView, 'cpuSeconds' | 'memoryBytes' | 'lag'> {
  const lags = lagsOf(metrics, (consumer) => !NOT_OF_PROCESS.includes(consumer));
  return {
    cpuSeconds: Math.round(10 * sumOf(metrics, ['process_cpu_seconds_total'])) / 10,
    memoryBytes: sumOf(metrics, ['process_resident_memory_bytes']),
    ...(lags.length > 0 && { lag: lags.reduce((total, lag) => total + lag, 0) }),
  };
}

function lagsOf(metrics: readonly Series[], wanted: (consumer: string) => boolean): readonly number[] {
  return metrics
    .filter(({ name, labels }) => name === 'caudal_consumer_lag' && wanted(labels.consumer ?? ''))
    .map(({ value }) => value);
}
