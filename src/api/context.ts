import type { DeadLetterTopics } from '#kernel/bus/dead-letters.ts';
import type { Tail } from '#kernel/bus/tail.ts';
import type { RowSource } from '#kernel/cache/row-cache.ts';
import type { Clock } from '#kernel/core/clock.ts';
import type { IdSource } from '#kernel/core/ids.ts';
import type { Store } from '#kernel/event-store/store.ts';
import type { Health } from '#kernel/observability/health.ts';
import type { Log } from '#kernel/observability/log.ts';
import type { Metrics } from '#kernel/observability/metrics.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import type { Executor } from '#kernel/processor/execute.ts';
import type { ProductRow } from '#services/catalog/projections.ts';
import type { WebhookPorts } from '#services/gateway/routes.ts';
import type { StockRow } from '#services/inventory/projections.ts';
import type { PaymentSettings } from '#services/payments/payment.decider.ts';
import type { WalletRow } from '#services/wallets/projections.ts';
import type { ExchangeRates } from './routes/rates.ts';

/** How the API works. Times in milliseconds where not said otherwise. */
export interface ApiSettings {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** The longest `Prefer: wait`, seconds. */
  readonly maxWaitSeconds: number;
  /** Requests with `Prefer: wait` that wait at the same time; beyond, they are answered at once. */
  readonly maxWaiters: number;
  readonly idempotencyTtlMs: number;
  /** Dead letters replayed per second, at most. */
  readonly dlqReplaysPerSecond: number;
  /** Messages of a topic of dead letters that one request looks at, at most. */
  readonly dlqTopicReadMax: number;
  /** Public settings, as `GET /config` shows them. */
  readonly publicSettings: Readonly<Record<string, string | number | boolean>>;
}

/** The dead letters on Kafka. */
export interface DeadLettersOnKafka {
  readonly topics: DeadLetterTopics;
  /** The topics that services of this system write to. */
  readonly names: readonly string[];
}

/** A database of services: their events and their tables. */
export interface ServiceDatabase {
  /** Names it among all whose events meet on one bus. */
  readonly id: string;
  readonly store: Store;
  readonly sql: Sql;
}

/** A service that requests are taken for. */
export interface ServicePorts extends Pick<ServiceDatabase, 'store' | 'sql'> {
  readonly executor: Executor;
}

/** What the API stands on. The routes of a service are there when this process runs the service. */
export interface ApiContext {
  readonly settings: ApiSettings;
  readonly rates: ExchangeRates;
  readonly payments?: ServicePorts & { readonly tail: Tail };
  readonly wallets?: ServicePorts & { readonly rows: RowSource<WalletRow> };
  readonly catalog?: ServicePorts & { readonly rows: RowSource<ProductRow> };
  readonly inventory?: ServicePorts & { readonly rows: RowSource<StockRow> };
  readonly purchases?: ServicePorts & { readonly tail: Tail };
  readonly paymentSettings: PaymentSettings;
  /** True when the card gateway in use takes no charge without a token. */
  readonly tokenRequired: boolean;
  /** Given when Kafka is the bus. */
  readonly deadLettersOnKafka?: DeadLettersOnKafka;
  /** Given when this process runs the gateway service. */
  readonly webhooks?: Omit<WebhookPorts, 'clock' | 'ids' | 'log'>;
  /** Those of this process, each once. */
  readonly databases: readonly [ServiceDatabase, ...ServiceDatabase[]];
  /** The streams of every service; undefined when this process cannot read those of all. */
  readonly streams?: Pick<Store, 'readStream' | 'loadStreams'>;
  readonly clock: Clock;
  readonly ids: IdSource;
  readonly log: Log;
  readonly health: Health;
  readonly metrics: Metrics;
  /** Tells a service that messages wait to be tried again; services of other processes look by themselves. */
  refreshRetries(service: string): void;
}
