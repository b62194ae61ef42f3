/** Money from one account to another, at most once for each id. */
export interface Transfer {
  /** A UUIDv7: indexes on it grow at one end, for every tool alike. */
  readonly id: string;
  /** Accounts are numbered from 0. */
  readonly from: number;
  readonly to: number;
  readonly amountMinor: number;
}

/** `refused`: the account debited does not hold enough. */
export type TransferOutcome = 'done' | 'refused';

/** Accounts kept by some tool in PostgreSQL. */
export interface Peer {
  /**
   * Resolves when the outcome is durable; the same id again has the same outcome and no further effect.
   * @throws Error when it is not known to have had one
   */
  transfer(transfer: Transfer): Promise<TransferOutcome>;
  /** The balance of every account, minor units, by number. */
  balances(): Promise<readonly number[]>;
  /** How many transfers took effect so far. */
  countDone(): Promise<number>;
  close(): Promise<void>;
}

export interface PeerOptions {
  /** An empty database of our own, on a server with the settings that Caudal runs its own with. */
  readonly url: string;
  /** Where the tools are installed: see packages.ts. */
  readonly packages: string;
  readonly accounts: number;
  /** What each account holds at first. */
  readonly openingMinor: number;
  /** Connections at most, in each pool that the tool has. */
  readonly pool: number;
}

/** Makes the accounts. */
export type OpenPeer = (options: PeerOptions) => Promise<Peer>;
