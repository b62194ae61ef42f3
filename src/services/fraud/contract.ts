import { Type } from '@sinclair/typebox';
import { defineEvent } from '#kernel/core/event.ts';
import { namedUuid } from '#kernel/core/ids.ts';
import { oneOf, text, timestamp, traceId, uuid } from '#kernel/core/schemas.ts';
import { PAYMENT_METHODS } from '#services/payments/contract.ts';

/** The aggregate type of fraud's knowledge: one stream per customer. */
export const FRAUD = 'fraud';

/** The stream that holds what was decided for a customer, so that counts over time are right for any number of instances. */
export function fraudStreamIdOf(customerId: string): string {
  return namedUuid('fraud', customerId);
}

export const paymentChecked = defineEvent({
  type: 'payments.checked',
  version: 1,
  description: 'The fraud check of a payment is done.',
  schema: Type.Object(
    {
      id: uuid('the payment'),
      trace_id: traceId(),
      status: oneOf(['APPROVED', 'DECLINED']),
      reason: text('`approved`, or `fraud_detected`'),
      score: Type.Integer({
        minimum: 0,
        maximum: 100,
        description: 'the sum of the scores of the rules that fired, at most 100',
      }),
      rules: Type.Array(text('the name of a rule that fired'), { maxItems: 100 }),
      checked_at: timestamp('when'),
      method: Type.Optional(oneOf(PAYMENT_METHODS, 'as the payment says; topologies go by it')),
      customer_id: Type.Optional(text('who pays; topologies order by it')),
    },
    { additionalProperties: false },
  ),
});
