import type { RecordedEvent } from '#kernel/core/event.ts';
import type { Reaction, ServiceDefinition } from '#kernel/processor/service.ts';
import { FRAUD, fraudStreamIdOf, paymentChecked } from './contract.ts';
import { type CheckPayment, createFraudDecider } from './decider.ts';
import { type FraudRules, judge } from './rules.ts';

export interface FraudSettings {
  /** The rules in force at the time of a decision; see `watchRules`. */
  readonly rules: () => FraudRules;
}

/** The fraud service: scores and decides every payment that was created. */
export function fraudService(settings: FraudSettings): ServiceDefinition {
  return {
    name: 'fraud',
    produces: [paymentChecked],
    deciders: [createFraudDecider((payment) => judge(settings.rules(), payment))],
    reactions: { 'payments.created': checkPayment },
    inline: [],
    projections: [],
    dlqTopic: 'payments.dlq',
  };
}

function checkPayment({ data }: RecordedEvent): readonly Reaction[] {
  const command: CheckPayment = {
    type: 'CheckPayment',
    paymentId: data.id,
    customerId: data.customer_id,
    amountMinor: data.amount_minor,
    currency: data.currency,
    method: data.method,
    traceId: data.trace_id,
  };
  return [{ aggregate: FRAUD, id: fraudStreamIdOf(data.customer_id), command }];
}
