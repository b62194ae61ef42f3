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

/** The purchases that a load makes: of two products each, paid from wallets. */
export interface PurchasePlan {
  readonly customers: readonly string[];
  /** By SKU, and the price of one, minor units: each is bought as often as the others. */
  readonly products: readonly { readonly sku: string; readonly priceMinor: number }[];
}

export interface LoadOptions {
  readonly port: number;
  readonly connections: number;
  /** Every so many-th payment waits for its final status. */
  readonly sampleEvery: number;
  readonly plan: PaymentPlan | PurchasePlan;
}

/** What a load is told. */
export type LoadCommand<Options = LoadOptions> =
  | { readonly type: 'start'; readonly options: Options }
  /** Forget the durations so far. */
  | { readonly type: 'measure' }
  /** Send nothing more, wait for what is under way, and report. */
  | { readonly type: 'stop' };

/** What the load reports; of purchases as of payments. */
export interface LoadReport {
  /** Since the start, 201 answers, and what else came instead of one, or of a final status that was waited for. */
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

/** Look-ups: which, of what, and how much of each. */
export interface ReadOptions {
  readonly port: number;
  readonly connections: number;
  readonly mix: PaymentMix | ShopMix;
}

/** Balances and payments. */
export interface PaymentMix {
  /** The share of look-ups, 0 to 1, that ask for a balance; of the others every second asks for a new payment. */
  readonly balances: number;
  /** Wallets by their users. */
  readonly customers: readonly string[];
  /** Payments that had their final status before. */
  readonly payments: readonly string[];
}

/** What the customers of a shop look at: products, their stock, now and then a balance. */
export interface ShopMix {
  /** By SKU, the most popular first: the n-th is asked for in proportion to 1/n (Zipf's law). */
  readonly products: readonly string[];
  /** Wallets by their users, likewise. */
  readonly customers: readonly string[];
}

/** `new_payment`: one that was accepted a moment ago, while the load ran. */
export type ReadKind = 'balance' | 'payment' | 'new_payment' | 'product' | 'stock';

/** What is looked up of each mix. */
export function kindsOf(mix: ReadOptions['mix']): readonly ReadKind[] {
  return 'products' in mix ? ['product', 'stock', 'balance'] : ['balance', 'payment', 'new_payment'];
}

/** A payment was accepted: from now on it may be looked up. */
export interface WrittenNote {
  readonly type: 'written';
  readonly id: string;
}

/** What a load of look-ups reports of each kind, since `measure`. */
export interface KindReport extends Percentiles {
  /** Answers that were right. */
  readonly reads: number;
  /** Answers of the wrong shape or about something else. */
  readonly wrong: number;
}

export interface ReadReport {
  readonly kinds: Readonly<Partial<Record<ReadKind, KindReport>>>;
  readonly errors: number;
  readonly errorKinds: Readonly<Record<string, number>>;
  /** What the load itself spent on each look-up, microseconds of processor time. */
  readonly cpuUsPerRequest: number;
}
