import type { ServiceDefinition } from '#kernel/processor/service.ts';
import { productCreated, productDeleted, productUpdated } from './contract.ts';
import { productDecider } from './decider.ts';
import { products } from './projections.ts';

/** The catalog service: products. All of it comes over HTTP. */
export const catalogService: ServiceDefinition = {
  name: 'catalog',
  produces: [productCreated, productUpdated, productDeleted],
  deciders: [productDecider],
  reactions: {},
  inline: [products],
  projections: [],
  dlqTopic: 'commerce.dlq',
};
