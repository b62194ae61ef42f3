import { setTimeout as sleep } from 'node:timers/promises';
import type { TcpProxy } from '../../support/tcp-proxy.ts';
import type { Apart, Network } from '../apart.ts';
import { BY_ITSELF, type Disaster, type Disasters, type Scene } from './disaster.ts';

type Way = (network: Network) => readonly TcpProxy[];

/** What happens to all connections between the servers and another part. */
function disastersOf(part: string, way: Way, lossShare: number): Disasters<Apart> {
  return {
    [`connections to ${part} reset again and again`]: cutRepeatedly(way, 'RST'),
    [`connections to ${part} closed again and again`]: cutRepeatedly(way, 'FIN'),
    [`${part} out of reach`]: during(way, (proxy) => {
      proxy.refuse();
      proxy.cut('RST');
    }),
    [`${part} far away`]: during(way, (proxy, { random }) => proxy.delay(random.between(20, 400))),
    [`requests to ${part} swallowed`]: during(way, (proxy) => proxy.swallow('requests')),
    [`answers of ${part} swallowed`]: during(way, (proxy) => proxy.swallow('answers')),
    [`requests to and answers of ${part} swallowed`]: during(way, (proxy) => proxy.swallow('both')),
    [`connections to ${part} reset before an answer arrives`]: during(way, (proxy, { random }) =>
      proxy.loseAnswers(() => random.chance(lossShare)),
    ),
  };
}

/** What happens to the network between the parts. */
export const NETWORK_DISASTERS: Disasters<Apart> = {
  // Each batch is several answers, a call to the gateway is one.
  ...disastersOf('PostgreSQL', ({ database }) => database, 0.02),
  ...disastersOf('the gateway', ({ gateway }) => gateway, 0.3),

  'webhooks out of reach': during(
    ({ webhooks }) => [webhooks],
    (proxy) => {
      proxy.refuse();
      proxy.cut('RST');
    },
  ),

  'one of two servers cut off from PostgreSQL, past its lease': {
    servers: 2,
    strike: async ({ harness, world, random, alone, goesOn }) => {
      const [lost, other] = random.shuffle(harness.servers);
      const proxy = world.network.database[lost!.place]!;
      proxy.swallow(random.pick(['requests', 'answers', 'both']));
      await sleep(random.between(2000, 4000));
      if (alone) await goesOn(other);
      return async () => mend([proxy]);
    },
  },
};

/** For a few seconds, longer and shorter than a lease. */
function during(way: Way, change: (proxy: TcpProxy, scene: Scene<Apart>) => void): Disaster<Apart> {
  return {
    strike: async (scene) => {
      const proxies = way(scene.world.network);
      for (const proxy of proxies) change(proxy, scene);
      await sleep(scene.random.between(500, 3000));
      return async () => mend(proxies);
    },
  };
}

function cutRepeatedly(way: Way, how: 'FIN' | 'RST'): Disaster<Apart> {
  return {
    strike: async ({ world, random }) => {
      const proxies = way(world.network);
      for (let cuts = random.between(3, 8); cuts > 0; cuts--) {
        for (const proxy of proxies) proxy.cut(how);
        await sleep(random.between(10, 500));
      }
      return BY_ITSELF;
    },
  };
}

/** What was swallowed is missing on the connections that there are: no real network would let them go on. */
function mend(proxies: readonly TcpProxy[]): void {
  for (const proxy of proxies) {
    proxy.mend();
    proxy.cut('RST');
  }
}
