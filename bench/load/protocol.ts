import type { Percentiles } from './histogram.ts';

/** The payments that a load makes. */
export interface PaymentPlan {
  readonly method: 'wallet' | 'credit_card';
  readonly currency: string;
  /** Who pays: each customer as often as the others, but for the first. */
  readonly customers: readonly string[];
  /** This share of all payments, 0 to 1, is the first customer's. */
  readonly hot: number;
}

export interface LoadOptions {
  readonly port: number;
  readonly connections: number;
  /** Every so many-th payment waits for its final status. */
  readonly sampleEvery: number;
  readonly plan: PaymentPlan;
}

/** What the load is told. */
export type LoadCommand =
  | { readonly type: 'start'; readonly options: LoadOptions }
  /** Forget the durations so far. */
  | { readonly type: 'measure' }
  /** Send nothing more, wait for what is under way, and report. */
  | { readonly type: 'stop' };

/** What the load reports. */
export interface LoadReport {
  /** Since the start, 201 answers and what else came instead of one. */
  readonly acknowledged: number;
  readonly acknowledgedMinor: number;
  readonly errors: number;
  /** Status or error code → how often. */
  readonly errorKinds: Readonly<Record<string, number>>;
  /** Since `measure`: of payments answered when they were accepted. */
  readonly post: Percentiles;
  /** Since `measure`: of payments answered with their final status. */
  readonly completion: Percentiles;
  readonly completionSamples: number;
  /** Requests answered since `measure`, and what the load itself spent on each, microseconds of processor time. */
  readonly answered: number;
  readonly cpuUsPerRequest: number;
}
