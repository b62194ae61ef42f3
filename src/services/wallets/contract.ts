import { Type } from '@sinclair/typebox';
import { defineEvent } from '#kernel/core/event.ts';
import { namedUuid } from '#kernel/core/ids.ts';
import { amountFields, balanceFields, currency, oneOf, text, timestamp, traceId, uuid } from '#kernel/core/schemas.ts';

/** The aggregate type of wallets: one stream per wallet. */
export const WALLET = 'wallet';

/** The wallet of a user: each user has at most one, and its id follows from theirs. */
export function walletIdOf(userId: string): string {
  return namedUuid('wallet', userId);
}

const owner = { wallet_id: uuid(), user_id: text('whose wallet') };

export const walletOpened = defineEvent({
  type: 'wallet.opened',
  version: 1,
  description: 'A wallet was opened, empty.',
  schema: Type.Object(
    {
      ...owner,
      currency: currency(),
      overdraft_limit: Type.Number({ minimum: 0, description: 'how far below zero the balance may go, major units' }),
      overdraft_limit_minor: Type.Integer({ minimum: 0 }),
      opened_at: timestamp('when'),
    },
    { additionalProperties: false },
  ),
});

const movement = {
  ...owner,
  ...amountFields,
  status: oneOf(['APPROVED']),
  ...balanceFields('previous_balance'),
  ...balanceFields('new_balance'),
  payment_id: Type.Optional(uuid('the payment that it belongs to; absent in direct movements')),
  refund_id: Type.Optional(uuid('the refund that it belongs to')),
  reference: Type.Optional(text("the caller's own name for a direct movement")),
  effective_at: timestamp('the value date: now, or as the caller of a direct movement says'),
  trace_id: Type.Optional(traceId()),
};

export const walletDebited = defineEvent({
  type: 'wallet.debited',
  version: 1,
  description: 'Money left the wallet.',
  schema: Type.Object(
    { ...movement, reason: text('`success` for a payment, else as the caller says') },
    { additionalProperties: false },
  ),
});

export const walletCredited = defineEvent({
  type: 'wallet.credited',
  version: 1,
  description: 'Money came into the wallet.',
  schema: Type.Object(
    { ...movement, reason: text('`refund`, `compensation`, else as the caller says') },
    { additionalProperties: false },
  ),
});

export const MOVEMENT_REFUSALS = [
  'insufficient_funds',
  'wallet_not_found',
  'currency_mismatch',
  'balance_too_large',
] as const;
export type MovementRefusal = (typeof MOVEMENT_REFUSALS)[number];

const declined = {
  ...owner,
  ...amountFields,
  payment_id: uuid(),
  status: oneOf(['DECLINED']),
  reason: oneOf(MOVEMENT_REFUSALS),
  ...balanceFields('previous_balance'),
  ...balanceFields('new_balance'),
  trace_id: traceId(),
};

export const walletDebitDeclined = defineEvent({
  type: 'wallet.debit.declined',
  version: 1,
  description: 'The wallet cannot pay; nothing moved.',
  schema: Type.Object(declined, { additionalProperties: false }),
});

export const walletCreditDeclined = defineEvent({
  type: 'wallet.credit.declined',
  version: 1,
  description: 'The wallet cannot take the money; nothing moved.',
  schema: Type.Object({ ...declined, refund_id: uuid() }, { additionalProperties: false }),
});
