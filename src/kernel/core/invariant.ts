/** Something that can never be is: a defect of this program. The work under way must not take effect. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/**
 * Checks what must always hold, in production too.
 * @throws InvariantError when it does not hold
 */
export function invariant(holds: boolean, what: string): asserts holds {
  if (!holds) throw new InvariantError(`broken invariant: ${what}`);
}
