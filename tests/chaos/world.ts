import type { Guardian } from './guardian.ts';

/** The database, opened for a look from outside. */
export interface OpenDatabase {
  readonly url: string;
  close(): Promise<void>;
}

/** What the servers stand on, in one of the ways in which the platform is run. */
export interface World {
  /** Servers that may run at a time, each on a place of its own, counted from 0. */
  readonly places: number;
  /** With how many of them a campaign begins. */
  readonly first: number;
  /** Whether a step of a payment may take so long that the payment is given up. Where not, a message that was lost shows. */
  readonly mayTimeOut: boolean;
  /** Whether clients may ask the server on this place. */
  servesApi(place: number): boolean;
  /** Settings of the server on this place. */
  settingsOf(place: number): Readonly<Record<string, string>>;
  /** The postmaster first, then its children; empty when none runs. */
  postgres(): Promise<readonly number[]>;
  /** The processes of the gateway simulator, at most one. */
  simulator(): Promise<readonly number[]>;
  /** Where the simulator is, past everything that may be wrong on the way. */
  simulatorUrl(): Promise<string>;
  openDatabase(): Promise<OpenDatabase>;
  /** What is wrong once the servers were stopped in good order. */
  afterLastStop(): Promise<readonly string[]>;
  /** Disasters that it has no place for, by group, with the reason. */
  readonly missing: ReadonlyMap<string, string>;
  /** Ends everything but the servers. @param keep whether its data are to be left for a look */
  close(keep: boolean): Promise<void>;
}

export interface WorldPorts {
  /** An empty folder. */
  readonly dataDir: string;
  /** The ports of the servers that run and that clients may ask. */
  readonly serverPorts: () => readonly number[];
  readonly guardian: Guardian;
}
