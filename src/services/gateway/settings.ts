import type { RetryPolicy } from '#kernel/resilience/retry-delay.ts';
import type { GiveUpPolicy } from './decider.ts';

/** How the gateway service works; times in milliseconds. */
export interface GatewaySettings extends GiveUpPolicy {
  /** The provider that new charges go to. */
  readonly gateway: string;
  /** Waits between attempts whose outcome is open; the first repetition does not wait. */
  readonly retry: RetryPolicy;
  /** Waits between look-ups of what the gateway accepted and will tell by webhook. */
  readonly pendingRetry: RetryPolicy;
  /**
   * A call that was given up may still reach the gateway for so long: until then a look-up that finds nothing proves
   * nothing. Waited for by a timer of the process that looks, so that no clock can shorten it.
   */
  readonly settleMs: number;
  /** An operation in hand is left alone by other processes for so long; then they take it for forgotten. */
  readonly leaseMs: number;
  /** How often due operations are looked for, and how often while there are more than can be taken at once. */
  readonly sweepMs: number;
  readonly busySweepMs: number;
  /** Operations at gateways at the same time, at most. */
  readonly maxInFlight: number;
  /** Fresh requests that wait in memory, at most; more are found by a sweep when their lease is over. */
  readonly maxQueued: number;
  /** How long a stop waits for calls under way. */
  readonly drainMs: number;
  /** A call that takes longer has timed out. */
  readonly callTimeoutMs: number;
  /** The circuit to a gateway opens after so many failed calls in a row… */
  readonly breakerFailures: number;
  /** …and lets one through again after so long. */
  readonly breakerHalfOpenAfterMs: number;
}

export const DEFAULT_GATEWAY_SETTINGS: GatewaySettings = {
  gateway: 'simulator',
  maxCalls: 4,
  giveUpAfterMs: 900_000,
  settleMs: 30_000,
  retry: { initialMs: 2_000, multiplier: 2, maxMs: 300_000, jitter: 0.2 },
  pendingRetry: { initialMs: 10_000, multiplier: 2, maxMs: 300_000, jitter: 0.2 },
  leaseMs: 15_000,
  sweepMs: 1_000,
  busySweepMs: 50,
  maxInFlight: 256,
  maxQueued: 10_000,
  drainMs: 5_000,
  callTimeoutMs: 30_000,
  breakerFailures: 5,
  breakerHalfOpenAfterMs: 60_000,
};
