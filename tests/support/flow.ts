import type { RecordedEvent } from '#kernel/core/event.ts';
import type { Reaction, ServiceDefinition } from '#kernel/processor/service.ts';
import { catalogService } from '#services/catalog/index.ts';
import { fraudService } from '#services/fraud/index.ts';
import { parseRules } from '#services/fraud/rules.ts';
import { gatewayService } from '#services/gateway/index.ts';
import { requestedRow } from '#services/gateway/projections.ts';
import { DEFAULT_GATEWAY_SETTINGS } from '#services/gateway/settings.ts';
import { DEFAULT_STOCK_SETTINGS } from '#services/inventory/decider.ts';
import { inventoryService } from '#services/inventory/index.ts';
import { paymentsService } from '#services/payments/index.ts';
import { DEFAULT_PAYMENT_SETTINGS } from '#services/payments/payment.decider.ts';
import { purchasesService } from '#services/purchases/index.ts';
import { DEFAULT_PURCHASE_SETTINGS } from '#services/purchases/saga.ts';
import { DEFAULT_WALLET_SETTINGS } from '#services/wallets/decider.ts';
import { walletsService } from '#services/wallets/index.ts';
import { createDomain } from '../simulation/decisions/domain.ts';
import { NOW } from './given.ts';

/** Whoever is called so is declined by the fraud check. */
export const BLOCKED = 'blocked';

const RULES = parseRules(
  JSON.stringify({ rules: [{ name: 'blocked', action: 'decline', when: { customer_in: [BLOCKED] } }] }),
);

/** Every event-sourced service, with its defaults. */
export function defaultServices(): readonly ServiceDefinition[] {
  return [
    paymentsService(DEFAULT_PAYMENT_SETTINGS),
    fraudService({ rules: () => RULES }),
    walletsService(DEFAULT_WALLET_SETTINGS),
    gatewayService(DEFAULT_GATEWAY_SETTINGS),
    catalogService,
    inventoryService(DEFAULT_STOCK_SETTINGS),
    purchasesService(DEFAULT_PURCHASE_SETTINGS),
  ];
}

/** The services' pure functions, joined: what a command leads to, message by message, at one moment and in order. */
export interface Flow {
  /** Everything that happened, in order. */
  readonly events: readonly RecordedEvent[];
  /** Runs a command and all that follows from it; one that is refused leads to nothing. */
  tell(command: Reaction): void;
}

/** What the card gateway says; `refused`: it will never carry it out. */
type Outcome = 'succeeded' | 'declined' | 'refused' | 'pending' | 'timeout';

/** @param gateway what the card gateway says of each charge and refund */
export function createFlow(gateway: () => Outcome): Flow {
  const services = defaultServices();
  const deciders = services.flatMap((service) => service.deciders);
  const domain = createDomain(deciders, NOW);

  const reactionsTo = (event: RecordedEvent): readonly Reaction[] => {
    const reactions = services.flatMap((service) => service.reactions[event.type]?.(event) ?? []);
    const asksGateway = event.type === 'gateway.charge.requested' || event.type === 'gateway.refund.requested';
    return asksGateway ? [...reactions, gatewayCommand(event, gateway())] : reactions;
  };

  return {
    events: domain.log,
    tell: (command) => {
      let handled = domain.log.length;
      domain.tell(command);
      for (; handled < domain.log.length; handled++)
        for (const reaction of reactionsTo(domain.log[handled]!)) domain.tell(reaction);
    },
  };
}

function gatewayCommand(event: RecordedEvent, outcome: Outcome): Reaction {
  const operation = requestedRow(event, DEFAULT_GATEWAY_SETTINGS);
  const { kind, id, idempotency_key, amount_minor, currency } = operation;
  const aggregate = kind === 'charge' ? 'charge' : 'gateway-refund';
  if (outcome === 'refused') return { aggregate, id, command: { type: 'RecordRefusal', operation, reason: 'test' } };
  if (outcome === 'timeout') {
    const failure = { reason: 'timeout', called: true, abandoned: false, settled: false, nextAttemptAt: NOW + 1000 };
    return { aggregate, id, command: { type: 'RecordUnknown', operation, ...failure } };
  }
  const reason = outcome === 'declined' ? 'card_declined' : 'success';
  const answer = { status: outcome, reason, gateway_payment_id: 'ch_1', idempotency_key, amount_minor, currency };
  return { aggregate, id, command: { type: 'RecordAnswer', operation, answer, nextAttemptAt: NOW + 1000 } };
}
