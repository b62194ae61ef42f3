import { CircuitState, ConsecutiveBreaker, circuitBreaker, handleAll, type IBackoff } from 'cockatiel';
import { type Scheduler, systemClock } from '../core/clock.ts';

export interface CircuitBreakerSettings {
  /** What is called, for messages and metrics. */
  readonly name: string;
  /** It opens after so many failures in a row; 5 by default. */
  readonly failures?: number;
  /** How long it rejects before it lets one probe through, milliseconds; 60,000 by default. */
  readonly halfOpenAfterMs?: number;
  /** A call that takes longer has failed, milliseconds; 30,000 by default. */
  readonly timeoutMs?: number;
  /** Whether a value that a call returned counts as a failure; everything thrown does. */
  readonly isFailure?: (value: unknown) => boolean;
  readonly clock?: Scheduler;
}

export type BreakerState = 'closed' | 'open' | 'half_open';

/** Counts since the start, for metrics. */
export interface BreakerMetrics {
  readonly name: string;
  readonly state: BreakerState;
  /** How often it opened. */
  readonly opened: number;
  /** Calls that were not made. */
  readonly rejected: number;
  /** Time not closed, milliseconds. */
  readonly openMs: number;
}

export interface CircuitBreaker {
  /**
   * Makes the call, unless the circuit is open.
   * @param call gets a signal that is aborted when the time is up
   * @throws CircuitOpenError the call was not made; CallTimeoutError it took too long; or what the call throws
   */
  execute<T>(call: (signal: AbortSignal) => Promise<T>): Promise<T>;
  /** Whether a call made now would go through, as a probe too. */
  allows(): boolean;
  metrics(): BreakerMetrics;
}

/** The call was not made: those before it failed. */
export class CircuitOpenError extends Error {
  override readonly name = 'CircuitOpenError';
}

/** The call took too long; what became of it is not known. */
export class CallTimeoutError extends Error {
  override readonly name = 'CallTimeoutError';
}

const STATE_NAMES: Readonly<Record<CircuitState, BreakerState>> = {
  [CircuitState.Closed]: 'closed',
  [CircuitState.Open]: 'open',
  [CircuitState.HalfOpen]: 'half_open',
  [CircuitState.Isolated]: 'open',
};

/**
 * Keeps calls away from what keeps failing: closed → (so many failures in a row) → open → (after a while, one call as a
 * probe) → half-open → closed again, or open again. While the probe is on its way, other calls are rejected at once.
 */
export function createCircuitBreaker(settings: CircuitBreakerSettings): CircuitBreaker {
  const { name, failures = 5, halfOpenAfterMs = 60_000, timeoutMs = 30_000, clock = systemClock } = settings;
  const counts = { opened: 0, rejected: 0, openMs: 0 };
  let openSince: number | undefined;
  let lastOpened = 0;

  // A clock that was set back must not keep calls away until it is as late again as it was.
  const mayProbe = (): boolean => {
    const waitedMs = clock.now() - lastOpened;
    return waitedMs < 0 || waitedMs >= halfOpenAfterMs;
  };
  // The policy compares the time since it opened, by the system's clock, with this duration. That clock may have been set back.
  const untilProbe: IBackoff<unknown> = {
    get duration() {
      return mayProbe() ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
    },
    next: () => untilProbe,
  };
  const failing = handleAll.orWhenResult((value) => settings.isFailure?.(value) ?? false);
  const circuit = circuitBreaker(failing, { breaker: new ConsecutiveBreaker(failures), halfOpenAfter: untilProbe });

  circuit.onBreak(() => {
    counts.opened += 1;
    lastOpened = clock.now();
    openSince ??= lastOpened;
  });
  circuit.onReset(() => {
    counts.openMs += clock.now() - (openSince ?? clock.now());
    openSince = undefined;
  });

  function allows(): boolean {
    if (circuit.state === CircuitState.Closed) return true;
    return circuit.state === CircuitState.Open && mayProbe();
  }

  async function execute<T>(call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    // The policy would let calls wait for the probe; here they are rejected at once.
    if (!allows()) {
      counts.rejected += 1;
      throw new CircuitOpenError(`${name} is not called: the calls before failed`);
    }
    return circuit.execute(() => inTime(call));
  }

  /** Waits no longer than the time limit, whether or not the call heeds its signal. */
  function inTime<T>(call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    return new Promise<T>((resolve, reject) => {
      const cancel = clock.after(timeoutMs, () => {
        controller.abort();
        reject(new CallTimeoutError(`${name} took longer than ${timeoutMs} ms`));
      });
      call(controller.signal).then(resolve, reject).finally(cancel);
    });
  }

  function metrics(): BreakerMetrics {
    const now = openSince === undefined ? 0 : clock.now() - openSince;
    return { name, state: STATE_NAMES[circuit.state], ...counts, openMs: counts.openMs + now };
  }

  return { execute, allows, metrics };
}
