import type { Clock } from '../core/clock.ts';
import { toTimestamp } from '../core/timestamp.ts';

export type HealthStatus = 'healthy' | 'degraded' | 'unhealthy';

/** How one part is; `detail` says why it is not healthy, or what is worth knowing. */
export interface PartHealth {
  readonly status: HealthStatus;
  readonly detail?: string;
}

/** A part that the process needs. What it throws, or a check that takes too long, counts as unhealthy. */
export interface HealthCheck {
  readonly name: string;
  /** True when the process is of no use without it. */
  readonly critical: boolean;
  check(): Promise<PartHealth>;
}

export interface HealthReport {
  readonly status: HealthStatus;
  readonly timestamp: string;
  readonly checks: Readonly<Record<string, PartHealth>>;
}

export interface Health {
  /** Checks every part; calls at the same time share one round of checks. */
  report(): Promise<HealthReport>;
}

/** @param timeoutMs a check that takes longer has failed */
export function createHealth(checks: readonly HealthCheck[], clock: Clock, timeoutMs: number): Health {
  let running: Promise<HealthReport> | undefined;

  const run = async (): Promise<HealthReport> => {
    const parts = await Promise.all(checks.map((check) => inTime(check, timeoutMs)));
    const statuses = parts.map((part, i) => (checks[i]!.critical ? part.status : asDegraded(part.status)));
    return {
      status: worst(statuses),
      timestamp: toTimestamp(clock.now()),
      checks: Object.fromEntries(checks.map((check, i) => [check.name, parts[i]!])),
    };
  };

  return {
    report: () => {
      running ??= run().finally(() => {
        running = undefined;
      });
      return running;
    },
  };
}

async function inTime(check: HealthCheck, timeoutMs: number): Promise<PartHealth> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<PartHealth>((resolve) => {
    timer = setTimeout(() => resolve({ status: 'unhealthy', detail: `no answer within ${timeoutMs} ms` }), timeoutMs);
  });
  // What a check throws may name hosts and users: the log has it, the answer does not.
  const result = check.check().catch((): PartHealth => ({ status: 'unhealthy', detail: 'out of reach' }));
  const part = await Promise.race([result, late]);
  clearTimeout(timer);
  return part;
}

function asDegraded(status: HealthStatus): HealthStatus {
  return status === 'unhealthy' ? 'degraded' : status;
}

function worst(statuses: readonly HealthStatus[]): HealthStatus {
  if (statuses.includes('unhealthy')) return 'unhealthy';
  return statuses.includes('degraded') ? 'degraded' : 'healthy';
}
