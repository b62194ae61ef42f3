import type { Log } from '#kernel/observability/log.ts';
import type { StreamCommand } from '#kernel/processor/execute.ts';
import type { Processor } from '#kernel/processor/processor.ts';
import { STOCK } from '#services/inventory/contract.ts';
import { PAYMENT } from '#services/payments/contract.ts';
import { PURCHASE } from '#services/purchases/contract.ts';
import type { Config, ServiceName } from '#src/config.ts';
import { createHold } from './hold.ts';
import { createJob, type Job } from './jobs.ts';
import type { Backend, Kernel } from './kernel.ts';

/** What a sweeper looks for, and says to each that it finds. */
interface Sweep {
  readonly service: ServiceName;
  readonly job: string;
  due(backend: Backend, now: number, limit: number): Promise<readonly StreamCommand[]>;
}

/** Tells what is overdue so; any instance may, since each stream decides itself whether it is true. */
const SWEEPS: readonly Sweep[] = [
  {
    service: 'payments',
    job: 'saga sweeper',
    due: async ({ dueSagas }, now, limit) =>
      (await dueSagas(now, limit)).map((id) => ({ aggregate: PAYMENT, id, command: { type: 'DeadlinePassed' } })),
  },
  {
    service: 'purchases',
    job: 'purchase sweeper',
    due: async ({ duePurchases }, now, limit) =>
      (await duePurchases(now, limit)).map((id) => ({ aggregate: PURCHASE, id, command: { type: 'DeadlinePassed' } })),
  },
  {
    service: 'inventory',
    job: 'reservation sweeper',
    due: async ({ dueReservations }, now, limit) =>
      (await dueReservations(now, limit)).map((reservation) => ({
        aggregate: STOCK,
        id: reservation.productId,
        command: { type: 'ExpireReservation', ...reservation },
      })),
  },
];

interface Parts {
  readonly config: Config;
  /** The kernel on the database of a service. */
  readonly kernelOf: (service: ServiceName) => Kernel;
  readonly log: Log;
}

/** The sweepers of the services that run here. */
export function createSweepers(parts: Parts, processors: ReadonlyMap<ServiceName, Processor>): readonly Job[] {
  return SWEEPS.flatMap((sweep) => {
    const processor = processors.get(sweep.service);
    return processor === undefined ? [] : [createSweeper(parts, sweep, processor)];
  });
}

function createSweeper({ config, kernelOf, log }: Parts, { service, job, due }: Sweep, processor: Processor): Job {
  const kernel = kernelOf(service);
  const { clock, ids } = kernel.backend;
  // After Kafka was away others may join their groups only when the sessions from before have run out.
  const restMs = config.fraudDeadlineMs + (kernel.relay === undefined ? 0 : config.kafkaSessionTimeoutMs);
  const isHeld = createHold(() => kernel.relay?.trouble ?? processor.status().trouble, restMs, clock);
  const sweep = async (): Promise<void> => {
    if (isHeld()) return;
    const commands = await due(kernel.backend, clock.now(), config.sweepLimit);
    await Promise.all(
      commands.map((command) => processor.execute({ commands: [command], traceId: ids.traceId(), answer: () => null })),
    );
  };
  return createJob(job, config.sweepMs, sweep, log, clock);
}
