import { setTimeout as sleep } from 'node:timers/promises';
import type { Harness, Server } from '../harness.ts';
import { type OnKafka, PAST_SESSION_MS } from '../kafka.ts';
import { signal } from '../processes.ts';
import type { Disasters, Scene } from './disaster.ts';

/** What happens to processes of a cluster in which each service runs twice. Those that end are started again, as an operator's tools do. */
export const INSTANCE_DISASTERS: Disasters<OnKafka> = {
  'kill -9 of an instance': {
    strike: async (scene) => {
      const { harness, random } = scene;
      const killed = random.pick(harness.servers);
      await harness.kill(killed);
      await goesOnMeanwhile(scene, [killed]);
      return () => startMissing(scene);
    },
  },

  'kill -9 of both instances of a service': {
    strike: async (scene) => {
      const { harness, world, random } = scene;
      const roles = world.rolesOf(random.pick(harness.servers).place);
      const both = harness.servers.filter(({ place }) => world.rolesOf(place) === roles);
      await Promise.all(both.map(harness.kill));
      await sleep(random.between(0, 2000));
      return () => startMissing(scene);
    },
  },

  'an instance stopped and started': {
    strike: async (scene) => {
      const { harness, random, alone, report } = scene;
      const stopped = random.pick(harness.servers);
      const ended = await harness.stop(stopped);
      if (alone && ended !== 'code 0') report(`a stop under load ended with ${ended}`);
      return () => startMissing(scene);
    },
  },

  'SIGSTOP of an instance, past its session and its lease': {
    strike: async (scene) => {
      const frozen = scene.random.pick(scene.harness.servers);
      signal([frozen.pid], 'SIGSTOP');
      await sleep(PAST_SESSION_MS + scene.random.between(0, 2000));
      await goesOnMeanwhile(scene, [frozen]);
      return async () => signal([frozen.pid], 'SIGCONT');
    },
  },
};

/** Another instance takes over whatever those had in hand. */
async function goesOnMeanwhile(
  { harness, random, alone, goesOn }: Scene<OnKafka>,
  without: readonly Server[],
): Promise<void> {
  if (alone) await goesOn(random.pick(harness.asked.filter((server) => !without.includes(server))));
  else await sleep(random.between(0, 2000));
}

async function startMissing({ harness, world }: { readonly harness: Harness; readonly world: OnKafka }): Promise<void> {
  while (harness.servers.length < world.places) harness.start();
}
