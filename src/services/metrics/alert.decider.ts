/** An invariant that does not hold. */
export interface BrokenInvariant {
  readonly invariant: string;
  /** In how many places. */
  readonly count: number;
  /** The first of them: what is wrong and where, in words. */
  readonly message: string;
}

/** What the process measured of itself over the last interval. */
export interface Sample {
  /** Milliseconds; `count` requests. */
  readonly requests: { readonly count: number; readonly p95: number; readonly p99: number };
  /** Events not handled yet, by consumer. */
  readonly lag: Readonly<Record<string, number>>;
  /** Shares from 0 to 1 of what there is. */
  readonly pool: number;
  readonly cpu: number;
  readonly memory: number;
  /** The share of the interval that each circuit was not closed. */
  readonly breakersOpen: Readonly<Record<string, number>>;
  readonly deadLetters: number;
  readonly stuckSagas: number;
  /** What must always hold and does not, the first found first. */
  readonly brokenInvariants: readonly BrokenInvariant[];
}

export type Severity = 'warning' | 'critical';

/** A limit that was passed: where the bottleneck is, and what to do. */
export interface Alert {
  readonly name: AlertName;
  readonly severity: Severity;
  readonly message: string;
}

export const ALERT_NAMES = [
  'api_p99',
  'api_p95',
  'consumer_lag',
  'database_pool',
  'cpu',
  'memory',
  'breaker_open',
  'dead_letters',
  'stuck_sagas',
  'broken_invariant',
] as const;
export type AlertName = (typeof ALERT_NAMES)[number];

const MAX_P99_MS = 1000;
const MAX_P95_MS = 500;
const LAG = { warning: 1000, critical: 10_000 };
const POOL = { warning: 0.8, critical: 0.9 };
const MAX_CPU = 0.7;
const MEMORY = { warning: 0.8, critical: 0.85 };
const MAX_BREAKER_OPEN = 0.1;

/** The alerts that a sample gives rise to; each at most once, with its worst case. */
export function alertsFor(sample: Sample): readonly Alert[] {
  return [
    ...latencyAlerts(sample),
    ...lagAlert(sample),
    ...levelAlert(
      'database_pool',
      sample.pool,
      POOL,
      'connections are in use: set DATABASE_POOL_SIZE higher, or add a read replica',
    ),
    ...levelAlert('cpu', sample.cpu, { warning: MAX_CPU, critical: 1 }, 'of the CPU is in use: add instances'),
    ...levelAlert(
      'memory',
      sample.memory,
      MEMORY,
      'of the memory is in use: lower STATE_CACHE_MAX or ROW_CACHE_MAX, or add instances',
    ),
    ...breakerAlert(sample),
    ...operatorAlerts(sample),
  ];
}

function latencyAlerts({ requests, pool, cpu }: Sample): readonly Alert[] {
  const cause = bottleneck(pool, cpu);
  const alerts: Alert[] = [];
  if (requests.p99 > MAX_P99_MS)
    alerts.push(critical('api_p99', `1 % of the requests take over ${MAX_P99_MS} ms; ${cause}`));
  if (requests.p95 > MAX_P95_MS)
    alerts.push(warning('api_p95', `5 % of the requests take over ${MAX_P95_MS} ms; ${cause}`));
  return alerts;
}

function bottleneck(pool: number, cpu: number): string {
  if (cpu > MAX_CPU) return 'the CPU is the bottleneck: add instances';
  if (pool > POOL.warning) return 'the connections to the database are the bottleneck: set DATABASE_POOL_SIZE higher';
  return 'neither CPU nor connections are short: look at the time of queries and commits of the database';
}

function lagAlert({ lag }: Sample): readonly Alert[] {
  const [name, events] = largest(lag);
  const message = `${name} is ${events} events behind: add instances that run it, up to its partitions`;
  if (events > LAG.critical) return [critical('consumer_lag', message)];
  return events > LAG.warning ? [warning('consumer_lag', message)] : [];
}

function levelAlert(
  name: AlertName,
  share: number,
  limits: { readonly warning: number; readonly critical: number },
  what: string,
): readonly Alert[] {
  const message = `${Math.round(share * 100)} % ${what}`;
  if (share > limits.critical) return [critical(name, message)];
  return share > limits.warning ? [warning(name, message)] : [];
}

function breakerAlert({ breakersOpen }: Sample): readonly Alert[] {
  const [name, share] = largest(breakersOpen);
  if (share <= MAX_BREAKER_OPEN) return [];
  return [
    critical('breaker_open', `${name} was out of reach ${Math.round(share * 100)} % of the time: look whether it runs`),
  ];
}

function operatorAlerts({ deadLetters, stuckSagas, brokenInvariants }: Sample): readonly Alert[] {
  const alerts: Alert[] = [];
  if (deadLetters > 0) alerts.push(warning('dead_letters', `${deadLetters} dead letters are open: caudal dlq list`));
  if (stuckSagas > 0)
    alerts.push(
      warning('stuck_sagas', `${stuckSagas} sagas are stuck: caudal sagas list --stuck, and GET /purchases?stuck=true`),
    );
  if (brokenInvariants.length > 0) alerts.push(invariantAlert(brokenInvariants));
  return alerts;
}

/** Names the first offence; the others are often what followed from it. */
function invariantAlert(broken: readonly BrokenInvariant[]): Alert {
  const [{ invariant, message }] = broken as [BrokenInvariant];
  const others = broken.reduce((sum, { count }) => sum + count, 0) - 1;
  const more = others === 0 ? '' : `, and ${others} more`;
  const advice = 'stop taking payments and run caudal verify; then docs/runbooks/broken-invariant.md';
  return critical('broken_invariant', `${invariant}: ${message}${more}: ${advice}`);
}

function largest(values: Readonly<Record<string, number>>): readonly [name: string, value: number] {
  let found: readonly [string, number] = ['', 0];
  for (const entry of Object.entries(values)) if (entry[1] > found[1]) found = entry;
  return found;
}

function warning(name: AlertName, message: string): Alert {
  return { name, severity: 'warning', message };
}

function critical(name: AlertName, message: string): Alert {
  return { name, severity: 'critical', message };
}
