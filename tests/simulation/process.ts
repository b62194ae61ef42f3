import { toError, UnavailableError } from '#kernel/core/errors.ts';
import { createIdSource } from '#kernel/core/ids.ts';
import type { Log } from '#kernel/observability/log.ts';
import { parseRules } from '#services/fraud/rules.ts';
import type { GatewayProvider, GatewayRequest, Notification } from '#services/gateway/provider.ts';
import { recordWebhook } from '#services/gateway/routes.ts';
import { type Backend, createKernel } from '#src/composition/kernel.ts';
import {
  catalogOf,
  type RunningServices,
  runServices,
  type ServiceInputs,
  serviceDefinitions,
} from '#src/composition/services.ts';
import { topologiesFrom } from '#src/composition/topology.ts';
import type { ServiceName } from '#src/config.ts';
import { topologyOf } from '#src/topologies.ts';
import { createRandom } from '../support/random.ts';
import type { Database, DatabaseView } from './database.ts';
import { type Faults, seedOf } from './faults.ts';
import type { CardGateway } from './gateway.ts';
import { createMachine, type Machine } from './machine.ts';
import { configOf, type Layout } from './settings.ts';
import type { VirtualTime } from './virtual-time.ts';

/** Whoever is called so is declined by the fraud check. */
export const BLOCKED_CUSTOMER = 'blocked-customer';

/** See `clockJob` of `src/composition/jobs.ts`. */
const CLOCK_SYNC_MS = 5_000;

const RULES = parseRules(
  JSON.stringify({ rules: [{ name: 'blocked', action: 'decline', when: { customer_in: [BLOCKED_CUSTOMER] } }] }),
);

/** Everything outside the processes. */
export interface World {
  readonly seed: number;
  readonly layout: Layout;
  readonly time: VirtualTime;
  readonly faults: Faults;
  readonly database: Database;
  readonly gateway: CardGateway;
  note(what: string): void;
  /** A process that runs tells the others that the log has grown. */
  wakeOthers(of: Process): void;
}

/** One process of the platform: the real kernel and services on a machine of the simulation. */
export interface Process {
  readonly machine: Machine;
  readonly serves: readonly ServiceName[];
  /** Undefined until it has started. */
  readonly running: RunningServices | undefined;
  wake(): void;
  /** Takes a webhook of the gateway. @throws UnavailableError when it cannot be recorded now */
  takeWebhook(delivery: string, notification: Notification): Promise<void>;
  /** Ends in good order. */
  stop(): Promise<void>;
}

/** What the services of every process are told. */
export function inputsOf({ layout }: World): ServiceInputs {
  const { gatewaySettings, paymentSettings, stockSettings, purchaseSettings } = layout;
  const rules = { current: () => RULES, stop: () => undefined };
  return { rules, gatewaySettings, paymentSettings, stockSettings, purchaseSettings, provider: NO_PROVIDER };
}

const NOT_CALLED = (): never => {
  throw new Error('this provider is not called');
};

/** Of definitions that nobody runs. */
const NO_PROVIDER: GatewayProvider = {
  name: 'simulator',
  requiresToken: false,
  charge: NOT_CALLED,
  refund: NOT_CALLED,
  lookUp: NOT_CALLED,
  verifyWebhook: NOT_CALLED,
  close: () => undefined,
};

/** Starts a process. @param onEnded called when it cannot start, and gives up */
export function startProcess(world: World, name: string, serves: readonly ServiceName[], onEnded: () => void): Process {
  const { layout, faults, database, note } = world;
  const machine = createMachine(name, world.time);
  const log = logOf(machine, note);
  const config = configOf(layout, serves, name);
  let wake: () => void = () => undefined;
  const { synchronize, ...view } = database.seenFrom(machine);
  const backend = createBackend(
    world,
    machine,
    view,
    () => world.wakeOthers(process),
    (onWake) => {
      wake = onWake;
    },
  );
  const inputs = { ...inputsOf(world), provider: createProvider(world, machine) };
  const definitions = serviceDefinitions(inputs);
  const observer = { batch: () => undefined, failure: () => undefined, conflict: () => note(`${name} conflict`) };
  const kernel = createKernel(config, backend, catalogOf(definitions), observer, log);
  const services = runServices({
    config,
    kernelOf: () => kernel,
    inputs,
    definitions,
    onGatewayCall: () => undefined,
    log,
  });
  let running: RunningServices | undefined;

  const start = async (): Promise<void> => {
    note(`${name} starts: ${serves.join(', ')}`);
    try {
      await synchronize();
      machine.clock.every(
        CLOCK_SYNC_MS,
        () => void synchronize().catch(() => note(`${name} goes on by its own clock`)),
      );
      await kernel.start();
      if (faults.hit('crash while starting')) return machine.kill();
      await services.start();
      running = services;
      note(`${name} has started`);
    } catch (cause) {
      note(`${name} cannot start: ${toError(cause).message}`);
      machine.kill();
      onEnded();
    }
  };

  const process: Process = {
    machine,
    serves,
    get running() {
      return machine.alive ? running : undefined;
    },
    wake: () => machine.call(wake),
    takeWebhook: async (delivery, notification) => {
      const executor = running?.processors.get('gateway');
      if (executor === undefined) throw new UnavailableError('the gateway service does not run here');
      const { workList, ids } = backend;
      const verified = { delivery, staleAfter: machine.clock.now() + 300_000, notification };
      await recordWebhook('simulator', verified, { executor, workList, ids, log });
    },
    stop: async () => {
      running = undefined;
      await services.stop();
      await kernel.stop();
    },
  };
  // Not within this call: whoever starts it must be able to listen for its end before anything can go wrong.
  machine.clock.after(0, () => void start());
  return process;
}

function createBackend(
  { seed, faults, layout }: World,
  machine: Machine,
  view: Omit<DatabaseView, 'synchronize'>,
  wakeOthers: () => void,
  listen: (onWake: () => void) => void,
): Backend {
  const random = createRandom(seedOf(seed, machine.name));
  const home = topologyOf(layout.config);
  let hears = true;
  return {
    ...view,
    topologies: topologiesFrom(home),
    writtenTopologies: async () => [home],
    bus: undefined,
    turns: { take: (_name, work) => work(), taken: async () => false },
    clock: machine.clock,
    random: () => random.below(2 ** 32) / 2 ** 32,
    ids: createIdSource(machine.clock, (bytes) => {
      for (let i = 0; i < bytes.length; i++) bytes[i] = random.below(256);
    }),
    othersMayWrite: async () => false,
    wakeCall: (onWake) => ({
      start: async () =>
        listen(() => {
          if (hears) onWake();
        }),
      hear: (wanted) => {
        if (wanted && !hears) onWake();
        hears = wanted;
      },
      notify: () => {
        if (faults.hit('crash before waking others')) machine.kill();
        else if (!faults.hit('wake-up lost')) wakeOthers();
      },
      stop: async () => undefined,
    }),
  };
}

/** Longer than a call is waited for, and shorter than a look-up that finds nothing is doubted. */
const LATE_CALL_MS = { least: 4_000, most: 14_000 };

/** The way of a process to the card gateway. */
function createProvider({ time, faults, gateway }: World, machine: Machine): GatewayProvider {
  const underway = new Set<() => void>();

  const call = <T>(work: () => Promise<T> | T, moves: boolean): Promise<T> =>
    new Promise((resolve) => {
      if (moves && faults.hit('crash before gateway call')) return machine.kill();
      const giveUp = (): void => resolve({ outcome: 'unknown', reason: 'connection_lost' } as T);
      const answer = (value: T): void =>
        void time.after(1, () =>
          machine.call(() => {
            underway.delete(giveUp);
            resolve(value);
          }),
        );
      if (faults.hit('gateway call not sent'))
        return answer({ outcome: 'not_sent', reason: 'gateway_unavailable' } as T);
      underway.add(giveUp);
      const isLate = moves && faults.hit('gateway call arrives late');
      if (isLate && faults.hit('crash during late gateway call')) time.after(1, () => machine.kill());
      time.after(isLate ? faults.random.between(LATE_CALL_MS.least, LATE_CALL_MS.most) : 1, () => {
        void Promise.resolve(work()).then((value) => {
          if (moves && faults.hit('crash after gateway call')) machine.kill();
          else if (!faults.hit('gateway answer lost')) answer(value);
        });
      });
    });

  const carryOut = (request: GatewayRequest) => call(() => gateway.carryOut(request), true);
  return {
    name: 'simulator',
    requiresToken: false,
    charge: carryOut,
    refund: carryOut,
    lookUp: (request) => call(() => gateway.lookUp(request), false),
    verifyWebhook: () => ({ ok: false, refusal: 'missing_signature' }),
    close: () => {
      for (const giveUp of [...underway]) giveUp();
      underway.clear();
    },
  };
}

/** What a process logs is part of the history. */
function logOf({ name }: Machine, note: (what: string) => void): Log {
  const write =
    (level: string) =>
    (fields: { readonly error?: Error }, message: string): void =>
      note(`${name} ${level} ${message}${fields.error === undefined ? '' : `: ${fields.error.message}`}`);
  const log = { debug: () => undefined, info: () => undefined, warn: write('warn'), error: write('ERROR') };
  return { ...log, child: () => log } as unknown as Log;
}
