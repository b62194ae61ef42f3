import { toError } from '#kernel/core/errors.ts';
import type { Notification } from '#services/gateway/provider.ts';
import type { ServiceInputs } from '#src/composition/services.ts';
import type { ServiceName } from '#src/config.ts';
import { createRandom } from '../support/random.ts';
import { seedOf } from './faults.ts';
import { inputsOf, type Process, startProcess, type World } from './process.ts';

/** The processes that ought to run, each started again when it has ended. */
export interface Platform {
  start(): void;
  /** The processes that are alive. */
  readonly processes: readonly Process[];
  /** One that runs the service, if any does. */
  choose(service: ServiceName): Process | undefined;
  /** Ends it in good order, and starts it again. */
  restart(process: Process): void;
  wakeOthers(of: Process): void;
  /** Brings a webhook to a process, again and again until it is taken. */
  deliver(notification: Notification): void;
  readonly inputs: ServiceInputs;
  /** Ends everything at once. */
  abandon(): void;
}

/** Some are gone for so long that the others are put out of their groups' minds, and one believes to be alone. */
const START_AGAIN_MS = [500, 3_000, 3_000, 25_000] as const;
const WEBHOOK_ATTEMPTS = 10;
const WEBHOOK_PAUSE_MS = 2_000;
const WAKE_MS = 2;

export function createPlatform(world: World): Platform {
  const { time, faults, layout, note } = world;
  const random = createRandom(seedOf(world.seed, 'platform'));
  const slots: (Process | undefined)[] = layout.processes.map(() => undefined);
  /** Those to whom a wake-up is on its way. */
  const woken = new Set<Process>();
  let started = 0;
  let deliveries = 0;
  let over = false;

  const fill = (slot: number): void => {
    if (over) return;
    started += 1;
    const name = `p${slot + 1}.${started}`;
    const endedOrKilled = (): void => startAgain(slot, process);
    const process = startProcess(world, name, layout.processes[slot]!, endedOrKilled);
    slots[slot] = process;
    process.machine.onKilled(() => {
      note(`${name} is dead`);
      endedOrKilled();
    });
  };

  const startAgain = (slot: number, process: Process): void => {
    if (slots[slot] !== process) return;
    slots[slot] = undefined;
    time.after(random.between(1, random.pick(START_AGAIN_MS)), () => fill(slot));
  };

  /** One wake-up tells of everything that was committed until it arrives. */
  const wakeSoon = (process: Process): void => {
    if (woken.has(process)) return;
    woken.add(process);
    time.after(WAKE_MS, () => {
      woken.delete(process);
      process.wake();
    });
  };

  const alive = (): Process[] => slots.filter((process) => process !== undefined);

  const choose = (service: ServiceName): Process | undefined => {
    const running = alive().filter((process) => process.serves.includes(service) && process.running !== undefined);
    return running.length === 0 ? undefined : random.pick(running);
  };

  const attemptDelivery = (delivery: string, notification: Notification, attempt: number): void => {
    const again = (): void => {
      if (attempt < WEBHOOK_ATTEMPTS)
        time.after(WEBHOOK_PAUSE_MS, () => attemptDelivery(delivery, notification, attempt + 1));
    };
    const process = choose('gateway');
    if (process === undefined) {
      again();
      return;
    }
    process.machine.call(() => {
      process.takeWebhook(delivery, notification).catch((cause) => {
        note(`webhook ${delivery} is not taken: ${toError(cause).message}`);
        again();
      });
    });
  };

  return {
    start: () => {
      for (const slot of slots.keys()) fill(slot);
    },
    get processes() {
      return alive();
    },
    choose,
    restart: (process) => {
      const slot = slots.indexOf(process);
      if (slot < 0 || process.running === undefined) return;
      note(`${process.machine.name} stops`);
      if (faults.hit('crash while stopping')) time.after(random.below(50), () => process.machine.kill());
      process.machine.call(() => {
        process.stop().then(
          () => process.machine.kill(),
          () => process.machine.kill(),
        );
      });
    },
    wakeOthers: (of) => {
      for (const process of alive()) if (process !== of) wakeSoon(process);
    },
    deliver: (notification) => {
      deliveries += 1;
      attemptDelivery(`delivery-${deliveries}`, notification, 1);
    },
    inputs: inputsOf(world),
    abandon: () => {
      over = true;
      for (const process of alive()) process.machine.kill();
    },
  };
}
