import { Type } from '@sinclair/typebox';
import { isCardNumber } from '../core/card-number.ts';
import { text } from '../core/schemas.ts';
import { withOthers } from './money-input.ts';
import type { FieldProblem } from './validation.ts';

/** What the readers of card tokens refuse with. */
export const TOKEN_CODES = ['token_required', 'card_number_refused'] as const;

/** A card token as clients send it. */
export const tokenInput = () => Type.Optional(text('the card token of the gateway, never a card number'));

/**
 * What is wrong with `payment_token` of a body, besides what was found already.
 * @param tokenRequired whether the gateway takes no card payment without one
 */
export function withTokenProblem(
  body: { readonly payment_token?: unknown; readonly method?: unknown } | null | undefined,
  found: readonly FieldProblem[],
  tokenRequired: boolean,
): readonly FieldProblem[] {
  const field = 'payment_token';
  const token = body?.payment_token;
  if (typeof token === 'string' && isCardNumber(token)) {
    return withOthers(found, [
      { field, code: 'card_number_refused', message: 'send the token of the card, never its number' },
    ]);
  }
  if (token !== undefined || !tokenRequired || body?.method === 'wallet') return found;
  return withOthers(found, [{ field, code: 'token_required', message: 'payment_token is required by this gateway' }]);
}
