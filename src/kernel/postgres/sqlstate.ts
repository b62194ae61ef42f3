import { ConflictError, DataError, MembershipLostError, toError, UnavailableError } from '../core/errors.ts';

/** SQLSTATEs of our own, raised by functions in the migrations. */
export const RAISED = {
  streamConflict: 'CA001',
  monthClosed: 'CA002',
  chainMoved: 'CA003',
  membershipLost: 'CA004',
} as const;

const UNIQUE_VIOLATION = '23505';
const NO_PARTITION = '23514';

/** Deadlock and serialization failure: the transaction may simply be made again. */
const ROLLBACK_CLASS = '40';
/** Classes that pass by waiting: connection, resources, operator intervention, system errors, locks, read-only. */
const WAITABLE = ['08', '53', '57', '58', '55', '25'];

/** The SQLSTATE of a driver error, or undefined when it is of another kind (a cut socket, a time-out). */
export function sqlStateOf(cause: unknown): string | undefined {
  const code = (cause as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

/** A partition for the row's month does not exist yet. */
export function isMissingPartition(cause: unknown): boolean {
  return sqlStateOf(cause) === NO_PARTITION && /no partition of relation/.test(toError(cause).message);
}

/**
 * A driver error as one of the kernel's: conflict (decide again), unavailable (wait) or data (never). What has no
 * SQLSTATE comes from the socket, so the server is out of reach.
 */
export function translate(cause: unknown): Error {
  const error = toError(cause);
  const state = sqlStateOf(cause);
  if (state === undefined) {
    return new UnavailableError(`PostgreSQL is out of reach (${error.message}); see DATABASE_URL`, { cause });
  }
  if (state === RAISED.membershipLost) return new MembershipLostError(error.message, { cause });
  if (state === UNIQUE_VIOLATION || state.startsWith(ROLLBACK_CLASS) || Object.values<string>(RAISED).includes(state)) {
    return new ConflictError(error.message, { cause });
  }
  if (WAITABLE.some((prefix) => state.startsWith(prefix))) {
    return new UnavailableError(`PostgreSQL cannot serve now (${state}: ${error.message})`, { cause });
  }
  return new DataError(`PostgreSQL refused (${state}: ${error.message})`, { cause });
}
