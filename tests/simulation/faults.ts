import { createHash } from 'node:crypto';
import { createRandom, type Random } from '../support/random.ts';

/**
 * Everything that goes wrong, by name: how likely it is each time that it could happen. `every` faults could happen once in
 * so many milliseconds of virtual time instead.
 */
export const FAULTS = {
  // A process dies, at a named point.
  'crash before commit': { share: 0.001 },
  'crash after commit': { share: 0.001 },
  'crash before read': { share: 0.0003 },
  'crash before group change': { share: 0.003 },
  'crash after group change': { share: 0.003 },
  'crash before gateway call': { share: 0.003 },
  'crash after gateway call': { share: 0.003 },
  'crash during late gateway call': { share: 0.1 },
  'crash before waking others': { share: 0.0005 },
  'crash while starting': { share: 0.05 },
  'crash while stopping': { share: 0.1 },
  crash: { every: 20_000 },
  // A process stops for a while, or is restarted in good order.
  pause: { every: 15_000 },
  restart: { every: 12_000 },
  // The database. Its clock is that of all processes, which look at it now and then.
  'clock jump': { every: 15_000 },
  'commit refused': { share: 0.003 },
  'commit conflicts': { share: 0.05 },
  'commit answer lost': { share: 0.003 },
  'commit takes effect late': { share: 0.002 },
  'read refused': { share: 0.001 },
  'group call refused': { share: 0.003 },
  'group answer lost': { share: 0.003 },
  'slow call': { share: 0.003 },
  'database outage': { every: 40_000 },
  // The bus between processes.
  'wake-up lost': { share: 0.1 },
  'keys reordered': { share: 0.5 },
  'messages twice': { share: 0.1 },
  // The card gateway.
  'gateway call not sent': { share: 0.02 },
  'gateway call fails': { share: 0.03 },
  'gateway answer lost': { share: 0.03 },
  'gateway call arrives late': { share: 0.1 },
  'gateway outage': { every: 40_000 },
  'webhook lost': { share: 0.1 },
  'webhook twice': { share: 0.2 },
  'webhook late': { share: 0.2 },
  // Clients.
  'client answer lost': { share: 0.02 },
  'request twice': { share: 0.05 },
} as const satisfies Record<string, { readonly share: number } | { readonly every: number }>;

export type FaultName = keyof typeof FAULTS;

export const FAULT_NAMES = Object.keys(FAULTS) as readonly FaultName[];

/** Decides what goes wrong, each kind by a chance of its own, so that leaving one out changes no other. */
export interface Faults {
  /** Whether this goes wrong now. */
  hit(name: FaultName): boolean;
  /** Milliseconds until a fault of this kind is next, and whether it happens then; undefined: never. */
  next(name: FaultName): { readonly ms: number; readonly happens: boolean } | undefined;
  /** For the details of what goes wrong: how long, how far. */
  readonly random: Random;
  /** Nothing goes wrong from now on. */
  heal(): void;
  readonly healed: boolean;
  /** How often each happened. */
  readonly counts: Readonly<Record<string, number>>;
  /** Each that happened, in order, as `name#number`. */
  readonly happened: readonly string[];
}

export interface FaultOptions {
  /** Those that may happen; default: about half of all, by the seed. */
  readonly only?: readonly FaultName[];
  /** No others than these happen, each as `name#number`. */
  readonly atMost?: ReadonlySet<string>;
}

interface Kind {
  readonly rate: number;
  readonly random: Random;
  chances: number;
}

/** Half of all faults are left out of each seed: what one kind hides, another seed shows (swarm testing, Groce et al. 2012). */
const SHARE_OF_FAULTS = 0.5;
const LEAST_INTENSITY = 0.3;
const MOST_INTENSITY = 4;

/** @param note told of each that happens */
export function createFaults(seed: number, options: FaultOptions, note: (what: string) => void): Faults {
  const kinds = new Map(FAULT_NAMES.map((name) => [name, kindOf(seed, name, options)]));
  const counts: Record<string, number> = {};
  const happened: string[] = [];
  let healed = false;

  const happens = (name: FaultName, kind: Kind): boolean => {
    const id = `${name}#${kind.chances}`;
    if (options.atMost?.has(id) === false) return false;
    counts[name] = (counts[name] ?? 0) + 1;
    happened.push(id);
    note(`fault ${id}`);
    return true;
  };

  return {
    hit: (name) => {
      const kind = kinds.get(name)!;
      if (healed || kind.rate === 0 || 'every' in FAULTS[name]) return false;
      kind.chances += 1;
      return kind.random.chance(kind.rate) && happens(name, kind);
    },
    next: (name) => {
      const kind = kinds.get(name)!;
      if (healed || kind.rate === 0) return undefined;
      kind.chances += 1;
      const ms = kind.random.between(1, Math.round(2 / kind.rate));
      return { ms, happens: happens(name, kind) };
    },
    random: createRandom(seedOf(seed, 'details')),
    heal: () => {
      healed = true;
    },
    get healed() {
      return healed;
    },
    counts,
    happened,
  };
}

function kindOf(seed: number, name: FaultName, { only }: FaultOptions): Kind {
  const random = createRandom(seedOf(seed, name));
  const chosen = random.chance(SHARE_OF_FAULTS);
  const intensity = LEAST_INTENSITY * (MOST_INTENSITY / LEAST_INTENSITY) ** (random.below(1000) / 1000);
  const on = only === undefined ? chosen : only.includes(name);
  return { rate: on ? baseRate(name) * intensity : 0, random, chances: 0 };
}

/** By chance, or by millisecond. */
function baseRate(name: FaultName): number {
  const fault: { readonly share?: number; readonly every?: number } = FAULTS[name];
  return fault.share ?? 1 / fault.every!;
}

/** A seed of its own for each part of a simulation. */
export function seedOf(seed: number, part: string): number {
  return createHash('sha256').update(`${seed} ${part}`).digest().readUInt32LE();
}
