import type { Percentiles } from '../load/histogram.ts';
import type { PeerOptions } from './peer.ts';

/** The tools that run in a process of their own with the load: libraries, called directly. */
export type LibraryName = 'caudal-kernel' | 'sql' | 'emmett' | 'dbos';

/** One measurement: so many callers, each with one transfer on its way. */
export interface CellOptions {
  readonly concurrent: number;
  /** All transfers credit one account; else both accounts are any. */
  readonly hot: boolean;
  readonly warmUpMs: number;
  readonly seconds: number;
}

/** What came of it, within the time measured. */
export interface CellReport {
  readonly done: number;
  /** How long was measured, seconds. */
  readonly seconds: number;
  readonly ms: Percentiles;
  readonly refused: number;
  /** Of the whole load, warm-up included. */
  readonly errors: number;
  readonly errorKinds: Readonly<Record<string, number>>;
  /** Not answered long after the end. */
  readonly unfinished: number;
  /** Cores that this process used: the tool and its load together. */
  readonly cores: number;
}

/** What the accounts hold after everything. */
export interface Totals {
  readonly sumMinor: number;
  readonly lowestMinor: number;
  /** Transfers in the database, and those whose caller was told that they were done. */
  readonly inDatabase: number;
  readonly told: number;
}

export type PeerCommand =
  | { readonly type: 'open'; readonly name: LibraryName; readonly options: PeerOptions }
  | { readonly type: 'measure'; readonly cell: CellOptions }
  | { readonly type: 'close' };

export type PeerAnswer =
  | { readonly type: 'opened' }
  | { readonly type: 'measured'; readonly report: CellReport }
  | { readonly type: 'closed'; readonly totals: Totals }
  | { readonly type: 'failed'; readonly message: string };
