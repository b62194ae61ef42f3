import { TOKENS } from '../../simulator/tokens.ts';

export const CURRENCY = 'USD';

/** When what all else builds on is asked for: before the start. */
export const OPENING = -1;

/** Of charges; undefined: none is sent. */
export const TOKEN_NAMES: readonly (string | undefined)[] = [undefined, ...TOKENS.keys(), 'tok_nobody_knows'];
