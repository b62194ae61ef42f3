import { randomUUID } from 'node:crypto';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** The services that a process can run. */
export const SERVICE_NAMES = [
  'payments',
  'fraud',
  'wallets',
  'gateway',
  'metrics',
  'catalog',
  'inventory',
  'purchases',
] as const;
export type ServiceName = (typeof SERVICE_NAMES)[number];

/** What a process can do: run services, and serve the HTTP API of all of them, wherever they run. */
export const ROLES = [...SERVICE_NAMES, 'api'] as const;
export type Role = (typeof ROLES)[number];

/** One setting: what it is called outside, what it means, and what it is when nobody says. */
interface SettingBase {
  readonly env: string;
  readonly meaning: string;
  /** Never printed. */
  readonly secret?: boolean;
}
interface IntegerSetting extends SettingBase {
  readonly kind: 'integer';
  readonly value: number;
  readonly min: number;
  readonly max: number;
}
interface TextSetting extends SettingBase {
  readonly kind: 'text';
  readonly value: string;
}
interface OptionalSetting extends SettingBase {
  readonly kind: 'optional';
  readonly value: undefined;
}
interface ServicesSetting extends SettingBase {
  readonly kind: 'services';
  readonly value: undefined;
}
type Setting = IntegerSetting | TextSetting | OptionalSetting | ServicesSetting;

const text = (env: string, value: string, meaning: string): TextSetting => ({ env, kind: 'text', value, meaning });
const optional = (env: string, meaning: string, secret = false): OptionalSetting => ({
  env,
  kind: 'optional',
  value: undefined,
  meaning,
  secret,
});
const integer = (
  env: string,
  value: number,
  meaning: string,
  min = 1,
  max = Number.MAX_SAFE_INTEGER,
): IntegerSetting => ({ env, kind: 'integer', value, meaning, min, max });

const ownDatabase = (service: ServiceName): OptionalSetting =>
  optional(
    `DATABASE_URL_${service.toUpperCase()}`,
    `PostgreSQL of the ${service} service alone, which takes KAFKA_BROKERS; that of DATABASE_URL when not set`,
    true,
  );

/** Every setting, once. Names that end in Ms are milliseconds. `caudal config` prints this table. */
export const SETTINGS = {
  port: integer('PORT', 8080, 'port of the API and console', 0, 65_535),
  host: text('HOST', '127.0.0.1', 'address the API binds to'),
  dataDir: text('CAUDAL_DATA', '.caudal', 'folder of the embedded PostgreSQL and of what this machine keeps'),
  cacheDir: text(
    'CAUDAL_CACHE',
    '',
    'folder of what is downloaded once for all data folders; $XDG_CACHE_HOME/caudal or ~/.cache/caudal when not set',
  ),
  kafkaHeap: text('CAUDAL_KAFKA_HEAP', '512m', 'memory of each broker that "caudal kafka start" starts, as 512m or 2g'),
  databaseUrl: optional('DATABASE_URL', 'PostgreSQL to use instead of the embedded one', true),
  paymentsDatabaseUrl: ownDatabase('payments'),
  fraudDatabaseUrl: ownDatabase('fraud'),
  walletsDatabaseUrl: ownDatabase('wallets'),
  gatewayDatabaseUrl: ownDatabase('gateway'),
  catalogDatabaseUrl: ownDatabase('catalog'),
  inventoryDatabaseUrl: ownDatabase('inventory'),
  purchasesDatabaseUrl: ownDatabase('purchases'),
  metricsDatabaseUrl: ownDatabase('metrics'),
  services: {
    env: 'CAUDAL_SERVICES',
    kind: 'services',
    value: undefined,
    meaning: `services of this process, by comma, and api for the paths of all services; all: ${ROLES.join(',')}`,
  },
  topology: optional(
    'CAUDAL_TOPOLOGY',
    'by-type, single, by-flow, by-service or granular: where a new database begins, by-type when not set; see topology migrate',
  ),
  kafkaBrokers: optional(
    'KAFKA_BROKERS',
    'host:port of Kafka brokers, by comma; the bus is in PostgreSQL when not set',
  ),
  kafkaSaslMechanism: optional('KAFKA_SASL_MECHANISM', 'PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; no login when not set'),
  kafkaSaslUsername: optional('KAFKA_SASL_USERNAME', 'who logs in to Kafka'),
  kafkaSaslPassword: optional('KAFKA_SASL_PASSWORD', 'the password for it', true),
  kafkaTls: text(
    'KAFKA_TLS',
    'off',
    'off, on, or the file of the certificate authority that the brokers are signed by',
  ),
  kafkaCompression: text('KAFKA_COMPRESSION', 'snappy', 'none, gzip, snappy, lz4 or zstd'),
  kafkaReplication: integer('KAFKA_REPLICATION', 3, 'copies of each partition of topics made here', 1, 9),
  kafkaRetentionMs: integer('KAFKA_RETENTION_MS', 7 * 86_400_000, 'how long topics made here keep messages'),
  kafkaSessionTimeoutMs: integer(
    'KAFKA_SESSION_TIMEOUT_MS',
    30_000,
    'silence after which Kafka gives partitions to others',
  ),
  kafkaHeartbeatMs: integer('KAFKA_HEARTBEAT_MS', 10_000, 'how often a member of a Kafka group says that it lives'),
  kafkaMaxPoll: integer('KAFKA_MAX_POLL_RECORDS', 500, 'messages from Kafka in one batch'),
  kafkaCommitMs: integer('KAFKA_COMMIT_MS', 1000, 'how often offsets are committed to Kafka, after the effects'),
  kafkaFetchWaitMs: integer('KAFKA_FETCH_WAIT_MS', 250, 'wait of a broker that has nothing new'),
  kafkaFetchBytes: integer('KAFKA_FETCH_BYTES', 8_388_608, 'bytes that are fetched from a broker at once', 1024),
  kafkaPartitionBytes: integer('KAFKA_PARTITION_FETCH_BYTES', 1_048_576, 'the same of one partition', 1024),
  kafkaSentEvents: integer('KAFKA_SENT_EVENTS', 16_384, 'events sent to Kafka that are kept until they come back'),
  relayBatch: integer('RELAY_BATCH_MAX', 5000, 'events that the relay sends to Kafka at once'),
  relayHeartbeatMs: integer('RELAY_HEARTBEAT_MS', 400, 'how often a relay says that it lives'),
  relayLeaseMs: integer('RELAY_LEASE_MS', 1500, 'silence after which another process takes the relay over'),
  deadLetterBatch: integer('DEAD_LETTER_BATCH_MAX', 100, 'dead letters that are sent to Kafka at once', 1, 10_000),
  deadLetterPollMs: integer('DEAD_LETTER_POLL_MS', 500, 'how often is looked for dead letters that wait for Kafka'),
  logLevel: text('LOG_LEVEL', 'info', 'debug, info, warn, error or silent'),
  logFile: optional('CAUDAL_LOG_FILE', 'where log lines go; standard error when not set'),
  fraudRulesFile: text(
    'FRAUD_RULES_FILE',
    'config/fraud-rules.json',
    'the rules of the fraud check; read again when it changes',
  ),
  ratesFile: optional('RATES_FILE', 'exchange rates that GET /rates shows, a JSON file; none when not set'),
  gatewayUrl: optional('GATEWAY_URL', 'the card gateway simulator to use; started here when not set'),
  webhookSecret: optional(
    'GATEWAY_WEBHOOK_SECRET',
    'key of webhook signatures; made and kept in the data folder when not set',
    true,
  ),
  simulatorPort: integer('SIMULATOR_PORT', 8090, 'port of the gateway simulator, or the next free one', 0, 65_535),
  poolSize: integer(
    'DATABASE_POOL_SIZE',
    10,
    'connections for reads; each service and read model has one more',
    1,
    1000,
  ),
  statementTimeoutMs: integer('DATABASE_STATEMENT_TIMEOUT_MS', 30_000, 'a longer statement is cancelled'),
  resolveTimeoutMs: integer('COMMIT_RESOLVE_TIMEOUT_MS', 5000, 'wait for the fate of a commit whose connection broke'),
  shutdownTimeoutMs: integer('SHUTDOWN_TIMEOUT_MS', 15_000, 'a stop that takes longer is forced'),
  maxBatchMessages: integer('BATCH_MAX_MESSAGES', 1000, 'bus messages in one batch'),
  maxBatchRequests: integer('BATCH_MAX_REQUESTS', 500, 'requests in one batch'),
  minBatchAhead: integer(
    'BATCH_AHEAD_MIN',
    128,
    'items that must wait for the next batch to be decided while one commits',
  ),
  maxQueuedRequests: integer('REQUEST_QUEUE_MAX', 10_000, 'requests that wait in one service; more are told 429'),
  maxKnownRequests: integer(
    'KNOWN_REQUESTS_MAX',
    100_000,
    'requests between services of which is remembered whether they were answered, per service',
  ),
  maxCachedStreams: integer('STATE_CACHE_MAX', 20_000, 'states of streams kept in memory, per service'),
  maxCachedRows: integer('ROW_CACHE_MAX', 10_000, 'rows kept in memory, per read model'),
  maxInbox: integer('INBOX_MAX', 5000, 'bus messages kept in memory, per consumer; the rest waits in the log'),
  fetchSize: integer('FETCH_SIZE', 1000, 'events of each writer that are read from the log at once'),
  snapshotEvery: integer('SNAPSHOT_EVERY', 100, 'events of a stream between snapshots'),
  maxWaitingRetries: integer(
    'RETRY_WAITING_MAX',
    1000,
    'messages waiting for another attempt that are looked at, per service',
  ),
  heartbeatMs: integer('BUS_HEARTBEAT_MS', 1000, 'how often a member of a consumer group says that it lives'),
  leaseMs: integer('BUS_LEASE_MS', 5000, 'silence after which a member is put out and others take over'),
  pollMs: integer('BUS_POLL_MS', 500, 'how often the log is looked at although nothing woke us'),
  projectionGatherMs: integer(
    'PROJECTION_GATHER_MS',
    25,
    'pause of a read model between batches, in which events gather',
    0,
  ),
  projectionBusyGatherMs: integer(
    'PROJECTION_BUSY_GATHER_MS',
    400,
    'the same after a batch of more than PROJECTION_BUSY_EVENTS: fewer writes, later',
    0,
  ),
  projectionBusyEvents: integer('PROJECTION_BUSY_EVENTS', 500, 'events in a batch of a read model that is busy'),
  projectionFetchSize: integer('PROJECTION_FETCH_SIZE', 5000, 'as FETCH_SIZE, of a service with read models'),
  projectionMaxInbox: integer('PROJECTION_INBOX_MAX', 20_000, 'events kept in memory, per service with read models'),
  partitionsAhead: integer('PARTITIONS_AHEAD', 3, 'months whose event partitions are made in advance', 0, 120),
  idempotencyTtlMs: integer('IDEMPOTENCY_TTL_MS', 7 * 86_400_000, 'how long an Idempotency-Key is kept'),
  sweepMs: integer('SAGA_SWEEP_MS', 500, 'how often overdue saga steps are looked for'),
  sweepLimit: integer('SAGA_SWEEP_LIMIT', 1000, 'overdue saga steps taken at once'),
  fraudDeadlineMs: integer('FRAUD_DEADLINE_MS', 5000, 'deadline of the fraud check'),
  debitDeadlineMs: integer('DEBIT_DEADLINE_MS', 5000, 'deadline of a debit or credit of a wallet'),
  gatewayDeadlineMs: integer('GATEWAY_DEADLINE_MS', 30_000, 'deadline of one gateway call'),
  gatewayBreakerOpenMs: integer(
    'GATEWAY_BREAKER_OPEN_MS',
    60_000,
    'how long no call is made after 5 failed ones in a row; then one is let through',
  ),
  gatewayConcurrency: integer('GATEWAY_CONCURRENCY', 256, 'gateway calls on their way at once'),
  reservationTtlMs: integer('RESERVATION_TTL_MS', 900_000, 'how long stock is kept for a purchase that is not paid'),
  maxReservations: integer('RESERVATIONS_MAX', 10_000, 'purchases that one product is kept for at the same time'),
  reserveDeadlineMs: integer('PURCHASE_RESERVE_DEADLINE_MS', 30_000, 'a purchase without its stock ends after so long'),
  purchasePaymentDeadlineMs: integer('PURCHASE_PAYMENT_DEADLINE_MS', 3_600_000, 'and one without its payment'),
  cacheRows: integer('CACHE_ROWS', 100_000, 'rows that each cache keeps in memory'),
  cacheTtlMs: integer(
    'CACHE_TTL_MS',
    30_000,
    'how long a row is kept in memory; twice as long each time it is asked for often',
  ),
  cacheMaxTtlMs: integer('CACHE_MAX_TTL_MS', 600_000, 'the longest that comes of that'),
  cacheMissingTtlMs: integer('CACHE_MISSING_TTL_MS', 1000, 'how long it is kept that there is no such row'),
  maxWaiters: integer('PREFER_WAIT_MAX_WAITERS', 10_000, 'requests that wait for a final status at once'),
  dlqReplaysPerSecond: integer('DLQ_REPLAYS_PER_SECOND', 100, 'dead letters replayed per second'),
  dlqTopicReadMax: integer(
    'DLQ_TOPIC_READ_MAX',
    1000,
    'messages of a topic of dead letters that one request for a replay looks at',
    1,
    10_000,
  ),
  sampleMs: integer('METRICS_SAMPLE_MS', 5000, 'how often lag, pools and alerts are looked at'),
  invariantMs: integer('INVARIANT_CHECK_MS', 60_000, 'how often the sums of the ledger are checked'),
  monitorEventsPerSecond: integer(
    'MONITOR_EVENTS_PER_SECOND',
    2000,
    'events that the monitor looks at in a second, a fourth of it while the process is busy; the rest later',
    1,
    1_000_000,
  ),
  monitorPauseMs: integer('MONITOR_PAUSE_MS', 500, 'pause of the monitor when it has seen all of the log'),
  monitorPageEvents: integer('MONITOR_PAGE_EVENTS', 500, 'events that the monitor reads at once', 1, 10_000),
  monitorPayments: integer(
    'MONITOR_PAYMENTS_MAX',
    10_000,
    'payments that the monitor remembers, at least those of a page; others it reads again',
  ),
  monitorWallets: integer('MONITOR_WALLETS_MAX', 50_000, 'the same of wallets'),
  monitorSamples: integer(
    'MONITOR_SAMPLES',
    5,
    'payments and wallets of each page whose read models the monitor compares with their events',
    0,
  ),
  monitorGraceMs: integer(
    'MONITOR_GRACE_MS',
    60_000,
    'how long a saga may be past its deadline, or a read model differ, before the monitor takes it for broken',
  ),
  maxWaitSeconds: integer('PREFER_WAIT_MAX_SECONDS', 30, 'longest wait of Prefer: wait', 0, 300),
} as const satisfies Record<string, Setting>;

export type SettingName = keyof typeof SETTINGS;

type ValueOf<S extends Setting> = S extends IntegerSetting
  ? number
  : S extends TextSetting
    ? string
    : S extends ServicesSetting
      ? readonly Role[]
      : string | undefined;

/** The settings of a process, checked. */
export type Config = { readonly [Name in SettingName]: ValueOf<(typeof SETTINGS)[Name]> } & {
  /** Names this process among all that ever ran. */
  readonly instance: string;
};

/** A setting that cannot be used; the message names it. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/**
 * Reads the settings from the environment.
 * @throws ConfigError naming the first setting that is wrong
 */
export function readConfig(env: Readonly<Record<string, string | undefined>>, overrides: Partial<Config> = {}): Config {
  const entries = Object.entries(SETTINGS).map(([name, setting]) => [name, parse(setting, env[setting.env])]);
  const config = { ...Object.fromEntries(entries), instance: randomUUID().slice(0, 8), ...overrides } as Config;
  return { ...config, dataDir: resolve(config.dataDir), cacheDir: resolve(config.cacheDir || defaultCache(env)) };
}

/** The database of a service: one of its own, else the common one; undefined: the embedded one. */
export function databaseUrlOf(config: Config, service: ServiceName): string | undefined {
  return config[`${service}DatabaseUrl`] ?? config.databaseUrl;
}

function defaultCache(env: Readonly<Record<string, string | undefined>>): string {
  return join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'caudal');
}

function parse(setting: Setting, given: string | undefined): unknown {
  const value = given?.trim() || undefined;
  if (setting.kind === 'services') return parseServices(value, setting);
  if (value === undefined) return setting.value;
  if (setting.kind !== 'integer') return value;
  const number = Number(value);
  if (!Number.isInteger(number) || number < setting.min || number > setting.max) {
    throw new ConfigError(
      `${setting.env}=${value}: must be a whole number from ${setting.min} to ${setting.max} (${setting.meaning})`,
    );
  }
  return number;
}

function parseServices(value: string | undefined, setting: ServicesSetting): readonly Role[] {
  if (value === undefined) return ROLES;
  return value.split(',').map((part) => {
    const name = part.trim() as Role;
    if (!ROLES.includes(name))
      throw new ConfigError(`${setting.env}: there is no service "${name}"; known are ${ROLES.join(', ')}`);
    return name;
  });
}

/** The settings as a table for people: name, value in force, default, meaning. Secrets are not shown. */
export function describeConfig(
  config: Config,
): readonly { readonly setting: string; readonly value: string; readonly default: string; readonly meaning: string }[] {
  return (Object.entries(SETTINGS) as [SettingName, Setting][]).map(([name, setting]) => {
    const value = config[name];
    const shown = value === undefined ? '' : setting.secret ? '[secret]' : String(value);
    return { setting: setting.env, value: shown, default: String(setting.value ?? ''), meaning: setting.meaning };
  });
}
