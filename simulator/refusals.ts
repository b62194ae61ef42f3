import { problem, type Reply } from './http.ts';

/** Refusals that charges and refunds share. */

export function keyReused(): Reply {
  return problem(422, 'idempotency_key_reused', 'this Idempotency-Key was used with another body');
}

export function recordFull(what: 'charges' | 'refunds', limit: number): Reply {
  const setting = what === 'charges' ? 'SIMULATOR_MAX_CHARGES' : 'SIMULATOR_MAX_REFUNDS';
  return problem(
    507,
    'record_full',
    `${limit} ${what} are kept already: POST /reset clears the record, ${setting} allows more`,
  );
}

export function notFound(what: 'charge' | 'refund'): Reply {
  return problem(404, `${what}_not_found`, `there is no such ${what} in the record: it was never made`);
}
