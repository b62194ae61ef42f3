import type { Random } from '../support/random.ts';
import { type Apart, createApart } from './apart.ts';
import { brokerDisasters } from './disasters/brokers.ts';
import { CLOCK_DISASTERS } from './disasters/clock.ts';
import type { Disaster, Disasters } from './disasters/disaster.ts';
import { DISK_DISASTERS } from './disasters/disk.ts';
import { APART_GATEWAY_DISASTERS, EMBEDDED_GATEWAY_DISASTERS, GATEWAY_DISASTERS } from './disasters/gateway.ts';
import { INSTANCE_DISASTERS } from './disasters/instances.ts';
import { NETWORK_DISASTERS } from './disasters/network.ts';
import { APART_POSTGRES_DISASTERS, EMBEDDED_POSTGRES_DISASTERS, POSTGRES_DISASTERS } from './disasters/postgres.ts';
import { EMBEDDED_SERVER_DISASTERS, SERVER_DISASTERS } from './disasters/servers.ts';
import { createEmbedded, type Embedded } from './embedded.ts';
import { createOnKafka, type OnKafka } from './kafka.ts';
import type { World, WorldPorts } from './world.ts';

/** A way in which the platform is run, and what can happen to it there. */
export interface Setting<Where extends World> {
  open(ports: WorldPorts): Promise<Where>;
  /** By group: what strikes first comes first, and is mended last. Two at a time are of two groups. */
  readonly groups: ReadonlyMap<string, Disasters<Where>>;
}

/** The ways in which the platform is run. */
export const EMBEDDED: Setting<Embedded> = {
  open: createEmbedded,
  groups: new Map<string, Disasters<Embedded>>([
    ['servers', { ...SERVER_DISASTERS, ...EMBEDDED_SERVER_DISASTERS }],
    ['gateway', { ...GATEWAY_DISASTERS, ...EMBEDDED_GATEWAY_DISASTERS }],
    ['postgres', { ...POSTGRES_DISASTERS, ...EMBEDDED_POSTGRES_DISASTERS }],
  ]),
};
export const APART: Setting<Apart> = {
  open: createApart,
  groups: new Map<string, Disasters<Apart>>([
    ['clock', CLOCK_DISASTERS],
    ['servers', SERVER_DISASTERS],
    ['gateway', { ...GATEWAY_DISASTERS, ...APART_GATEWAY_DISASTERS }],
    ['network', NETWORK_DISASTERS],
    ['postgres', { ...POSTGRES_DISASTERS, ...APART_POSTGRES_DISASTERS }],
    ['disk', DISK_DISASTERS],
  ]),
};
/** @param outageMs how long all brokers of Kafka are away */
export const onKafka = (outageMs: number): Setting<OnKafka> => ({
  open: createOnKafka,
  groups: new Map<string, Disasters<OnKafka>>([
    ['instances', INSTANCE_DISASTERS],
    ['brokers', brokerDisasters(outageMs)],
  ]),
});

/** Disasters that strike together, in this order; usually one. */
export type Blow<Where extends World> = readonly (readonly [name: string, disaster: Disaster<Where>])[];

/**
 * The blows of one round, in random order: every disaster alone, and some two at once.
 * @param missing groups to leave out
 */
export function planRound<Where extends World>(
  { groups }: Setting<Where>,
  missing: ReadonlyMap<string, string>,
  combinations: number,
  random: Random,
): readonly Blow<Where>[] {
  const lists = [...groups].filter(([group]) => !missing.has(group)).map(([, disasters]) => Object.entries(disasters));
  const single = lists.flat().map((entry) => [entry]);
  const combinable = lists.map((list) => list.filter(([, { onlyAlone }]) => !onlyAlone));
  const order = combinable.map((_, index) => index);
  const pairs = Array.from({ length: combinations }, () => {
    const chosen = random
      .shuffle(order)
      .slice(0, 2)
      .sort((a, b) => a - b);
    return chosen.map((index) => random.pick(combinable[index]!));
  });
  return random.shuffle([...single, ...pairs]);
}
