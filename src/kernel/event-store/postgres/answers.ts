import type { Sql } from '../../postgres/sql.ts';
import type { StoredAnswer } from '../store.ts';

/**
 * Stores the answer to an operator's action that no batch carries out; those of commands are stored with their events.
 * @throws ConflictError when the key is taken
 */
export async function saveAnswer(sql: Sql, answer: StoredAnswer): Promise<void> {
  const { scope, key, requestHash, expiresAt } = answer;
  await sql.query('SELECT save_answers(ARRAY[$1], ARRAY[$2], ARRAY[$3], ARRAY[$4::jsonb], ARRAY[$5::timestamptz])', [
    scope,
    key,
    requestHash,
    JSON.stringify(answer.answer),
    new Date(expiresAt),
  ]);
}
