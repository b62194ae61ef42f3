import type { RecordedEvent } from '#kernel/core/event.ts';
import type { Reaction, ServiceDefinition } from '#kernel/processor/service.ts';
import {
  CHARGE,
  GATEWAY_REFUND,
  gatewayAttemptRecorded,
  gatewayChargeAnswered,
  gatewayChargeSent,
  gatewayRefundAnswered,
} from './contract.ts';
import { createChargeDecider, createRefundDecider, type OperationCommand } from './decider.ts';
import { createOperationProjection, isRepeated, requestedRow } from './projections.ts';
import type { GatewaySettings } from './settings.ts';

/** The gateway service: charges and refunds at card gateways. `worker.ts` makes the calls, `routes.ts` takes webhooks. */
export function gatewayService(settings: GatewaySettings): ServiceDefinition {
  const requested = (event: RecordedEvent) => (isRepeated(event) ? [askAgain(event, settings)] : []);
  return {
    name: 'gateway',
    produces: [gatewayChargeSent, gatewayChargeAnswered, gatewayRefundAnswered, gatewayAttemptRecorded],
    deciders: [createChargeDecider(settings), createRefundDecider(settings)],
    // A first request leads to no event: its row in the work list, written in the same transaction, is what it leaves.
    reactions: { 'gateway.charge.requested': requested, 'gateway.refund.requested': requested },
    inline: [createOperationProjection(settings)],
    projections: [],
    dlqTopic: 'gateway.dlq',
  };
}

function askAgain(event: RecordedEvent, settings: GatewaySettings): Reaction {
  const operation = requestedRow(event, settings);
  const command: OperationCommand = { type: 'AskAgain', operation };
  return { aggregate: operation.kind === 'charge' ? CHARGE : GATEWAY_REFUND, id: operation.id, command };
}
