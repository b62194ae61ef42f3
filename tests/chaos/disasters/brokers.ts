import { setTimeout as sleep } from 'node:timers/promises';
import type { OnKafka } from '../kafka.ts';
import { signal } from '../processes.ts';
import type { Disasters, Scene } from './disaster.ts';

/** Shorter and longer than the brokers wait for one another, which is 4 s. */
const LEAST_FROZEN_MS = 2000;
const MOST_FROZEN_MS = 8000;

/** What happens to the brokers of Kafka: with two of three payments go on, without they wait. @param outageMs how long all of them are away */
export function brokerDisasters(outageMs: number): Disasters<OnKafka> {
  return {
    'kill -9 of one of three brokers': {
      strike: async (scene) => {
        const { kafka } = scene.world.parts;
        const { id } = scene.random.pick(kafka.brokers);
        await kafka.killBroker(id);
        await goesOnMeanwhile(scene);
        return () => kafka.startBroker(id);
      },
    },

    'one of three brokers stopped and started': {
      strike: async (scene) => {
        const { kafka } = scene.world.parts;
        const { id } = scene.random.pick(kafka.brokers);
        await kafka.stopBroker(id);
        await goesOnMeanwhile(scene);
        return () => kafka.startBroker(id);
      },
    },

    'SIGSTOP of one of three brokers': {
      strike: async (scene) => {
        const { random, world } = scene;
        const { pid } = random.pick(world.parts.kafka.brokers);
        signal([pid!], 'SIGSTOP');
        await sleep(random.between(LEAST_FROZEN_MS, MOST_FROZEN_MS));
        await goesOnMeanwhile(scene);
        return async () => signal([pid!], 'SIGCONT');
      },
    },

    'kill -9 of two of three brokers': {
      strike: async ({ world, random }) => {
        const { kafka } = world.parts;
        const ids = random.shuffle(kafka.brokers.map(({ id }) => id)).slice(0, 2);
        await Promise.all(ids.map((id) => kafka.killBroker(id)));
        await sleep(random.between(0, 2000));
        return async () => void (await Promise.all(ids.map((id) => kafka.startBroker(id))));
      },
    },

    'kill -9 of all brokers, and none for a while': {
      strike: async ({ world }) => {
        const { kafka } = world.parts;
        const ids = kafka.brokers.map(({ id }) => id);
        await Promise.all(ids.map((id) => kafka.killBroker(id)));
        await sleep(outageMs);
        return async () => void (await Promise.all(ids.map((id) => kafka.startBroker(id))));
      },
    },
  };
}

async function goesOnMeanwhile({ alone, random, goesOn }: Scene<OnKafka>): Promise<void> {
  if (alone) await goesOn();
  else await sleep(random.between(0, 2000));
}
