import type { ServiceDefinition } from '#kernel/processor/service.ts';
import { stockLow, stockOut, stockUpdated } from './contract.ts';
import { stockDecider } from './decider.ts';
import { stock } from './projections.ts';

/** The inventory service: how much there is of each product. */
export const inventoryService: ServiceDefinition = {
  name: 'inventory',
  produces: [stockUpdated, stockLow, stockOut],
  deciders: [stockDecider],
  reactions: {},
  inline: [stock],
  projections: [],
  dlqTopic: 'commerce.dlq',
};
