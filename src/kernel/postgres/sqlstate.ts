import pg from 'pg';
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
/** Classes that tell of the values sent: cardinality, data, constraints, limits. */
const DATA = ['21', '22', '23', '54'];
/** Raised by a function that is not ours, such as a trigger: what it minds may be mended, so it is worth trying again. */
const RAISED_BY_OTHERS = 'P0';

/**
 * The SQLSTATE of a driver error, or undefined when it is of another kind (a cut socket, a time-out). The codes of such
 * errors can look like one: EPIPE.
 */
export function sqlStateOf(cause: unknown): string | undefined {
  return cause instanceof pg.DatabaseError ? cause.code : undefined;
}

/** A partition for the row's month does not exist yet. */
export function isMissingPartition(cause: unknown): boolean {
  return sqlStateOf(cause) === NO_PARTITION && /no partition of relation/.test(toError(cause).message);
}

/**
 * A driver error as one of the kernel's: conflict (decide again), unavailable (wait) or data (never); or a plain error, of
 * which nobody knows. What has no
 * SQLSTATE comes from the socket, so the server is out of reach. A fault for which no value is to blame (a missing table,
 * a damaged page) counts as unavailable too: nothing may be given up for it.
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
  if (DATA.some((prefix) => state.startsWith(prefix))) {
    return new DataError(`PostgreSQL refused (${state}: ${error.message})`, { cause });
  }
  if (state.startsWith(RAISED_BY_OTHERS))
    return new Error(`PostgreSQL refused (${state}: ${error.message})`, { cause });
  return new UnavailableError(`PostgreSQL cannot serve now (${state}: ${error.message})`, { cause });
}
