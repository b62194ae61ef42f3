/** What carries events between services: the log itself, or a Kafka of the benchmark's own. */
export const BUSES = ['postgres', 'kafka'] as const;
export type BenchBus = (typeof BUSES)[number];

/** Services that payments pass through; each is in so many processes as asked for. */
export const INSTANCED = ['payments', 'fraud', 'wallets', 'gateway'] as const;

/** The embedded PostgreSQL takes 300 connections, and each process has up to 12 of them here. */
export const MAX_INSTANCES = 4;
