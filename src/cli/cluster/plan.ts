import { InvalidArgumentError } from 'commander';
import { ROLES, type Role } from '#src/config.ts';

/** The embedded PostgreSQL takes 300 connections, and a process has up to 18. */
export const MAX_INSTANCES = 16;
/** No payment waits for what they do. */
const DISPENSABLE: readonly Role[] = ['metrics', 'catalog', 'inventory', 'purchases'];

/** One process of the cluster, and what it does. */
export interface Planned {
  readonly name: string;
  readonly role: Role;
}

/**
 * Reads `payments=2,wallets=3`; of a role that is not named there is one. A parser for commander.
 * @throws InvalidArgumentError for what is no role or no number, and for numbers that cannot work
 */
export function planOf(text: string): readonly Planned[] {
  const counts = new Map<Role, number>();
  for (const part of text.split(',')) {
    const { role, count } = parsePart(part.trim());
    if (counts.has(role)) throw new InvalidArgumentError(`${role} is named twice.`);
    counts.set(role, count);
  }
  const plan = planned(counts);
  if (plan.length <= MAX_INSTANCES) return plan;
  throw new InvalidArgumentError(`These are ${plan.length} processes; there may be ${MAX_INSTANCES} at most.`);
}

/** One process for each role. */
export function smallestPlan(): readonly Planned[] {
  return planned(new Map());
}

function parsePart(part: string): { role: Role; count: number } {
  const [, name, number] = /^([a-z]+)=(\d+)$/.exec(part) ?? [];
  if (name === undefined)
    throw new InvalidArgumentError(`"${part}" is not a role and a whole number, such as payments=2.`);
  const role = ROLES.find((known) => known === name);
  if (role === undefined) throw new InvalidArgumentError(`There is no role "${name}"; known are ${ROLES.join(', ')}.`);
  const count = Number(number);
  if (count > 0 || DISPENSABLE.includes(role)) return { role, count };
  throw new InvalidArgumentError(
    `${part}: without ${role} payments stand still; only ${DISPENSABLE.join(', ')} can be 0.`,
  );
}

function planned(counts: ReadonlyMap<Role, number>): readonly Planned[] {
  return ROLES.flatMap((role) =>
    Array.from({ length: counts.get(role) ?? 1 }, (_, i): Planned => ({ name: `${role}-${i + 1}`, role })),
  );
}
