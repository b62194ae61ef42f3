import type { ServiceDefinition } from '#kernel/processor/service.ts';
import { gatewayAttemptRecorded, gatewayChargeAnswered, gatewayChargeSent, gatewayRefundAnswered } from './contract.ts';
import { createChargeDecider, createRefundDecider } from './decider.ts';
import { createOperationProjection } from './projections.ts';
import type { GatewaySettings } from './settings.ts';

/** The gateway service: charges and refunds at card gateways. `worker.ts` makes the calls, `routes.ts` takes webhooks. */
export function gatewayService(settings: GatewaySettings): ServiceDefinition {
  return {
    name: 'gateway',
    produces: [gatewayChargeSent, gatewayChargeAnswered, gatewayRefundAnswered, gatewayAttemptRecorded],
    deciders: [createChargeDecider(settings), createRefundDecider(settings)],
    // A request leads to no event: its row in the work list, written in the same transaction, is what it leaves.
    reactions: { 'gateway.charge.requested': () => [], 'gateway.refund.requested': () => [] },
    inline: [createOperationProjection(settings)],
    projections: [],
    dlqTopic: 'gateway.dlq',
  };
}
