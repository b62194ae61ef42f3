import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { onEnd } from './cleanup.ts';

const HOST = '127.0.0.1';

type Direction = 'requests' | 'answers';

/** A network between clients and a server that can be made to fail. */
export interface TcpProxy {
  readonly port: number;
  /** From now on nothing passes in this direction; what is sent is lost. */
  swallow(direction: Direction | 'both'): void;
  /** Breaks every connection: `FIN` closes it in good order, `RST` resets it. */
  cut(how?: 'FIN' | 'RST'): void;
  /** From now on every new connection is closed at once. */
  refuse(): void;
  /** From now on everything takes so many milliseconds more, each way. */
  delay(ms: number): void;
  /** From now on a connection is reset instead of handing on an answer, whenever `loses` says so. */
  loseAnswers(loses: () => boolean): void;
  /** Lets everything pass again: on the connections that there are, and on new ones. */
  mend(): void;
  /** Breaks every connection and listens no longer. */
  close(): Promise<void>;
}

interface Weather {
  readonly swallowed: Direction | 'both' | undefined;
  readonly refusing: boolean;
  readonly delayMs: number;
  readonly loses: () => boolean;
}

const FAIR: Weather = { swallowed: undefined, refusing: false, delayMs: 0, loses: () => false };

/**
 * Starts a proxy on a free port of 127.0.0.1.
 * @param port of the server on 127.0.0.1, asked for each connection; undefined: there is none at the moment
 */
export async function openTcpProxy(port: () => number | undefined): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let weather = FAIR;

  const pass = (from: Socket, to: Socket, direction: Direction): void => {
    let last = Promise.resolve();
    sockets.add(from);
    from.setNoDelay(true);
    from.on('data', (chunk) => {
      const { swallowed, delayMs, loses } = weather;
      if (swallowed === 'both' || swallowed === direction) return;
      if (direction === 'answers' && loses()) {
        for (const socket of [from, to]) reset(socket);
        return;
      }
      const due = delayMs === 0 ? undefined : sleep(delayMs, undefined, { ref: false });
      last = Promise.all([last, due]).then(() => void to.write(chunk));
    });
    from.on('error', () => to.destroy());
    from.on('close', () => {
      sockets.delete(from);
      // What was handed over before the end still arrives, as on a real network.
      void last.then(() => to.destroySoon());
    });
  };

  const server = createServer((client) => {
    const target = weather.refusing ? undefined : port();
    if (target === undefined) return void client.destroy();
    const upstream = connect(target, HOST);
    pass(client, upstream, 'requests');
    pass(upstream, client, 'answers');
  });
  server.listen(0, HOST);
  await once(server, 'listening');

  const cut = (how: 'FIN' | 'RST' = 'FIN'): void => {
    for (const socket of sockets) {
      if (how === 'RST') reset(socket);
      else socket.destroy();
    }
  };
  const change = (now: Partial<Weather>): void => {
    weather = { ...weather, ...now };
  };

  return {
    port: (server.address() as AddressInfo).port,
    swallow: (swallowed) => change({ swallowed }),
    cut,
    refuse: () => change({ refusing: true }),
    delay: (delayMs) => change({ delayMs }),
    loseAnswers: (loses) => change({ loses }),
    mend: () => {
      weather = FAIR;
    },
    close: async () => {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}

/** One that is being closed already cannot be reset: Node would keep it for ever, and spin when the process ends. */
function reset(socket: Socket): void {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

/** Starts a proxy in front of the server of a url, which is on this machine, and stops it after the test. */
export async function startTcpProxy(t: TestContext, serverUrl: string): Promise<TcpProxy & { readonly url: string }> {
  const proxy = await openTcpProxy(() => Number(new URL(serverUrl).port));
  onEnd(t, proxy.close);
  return { ...proxy, url: urlThrough(proxy, serverUrl) };
}

/** The url of a server with the proxy's port in place of the server's. */
export function urlThrough(proxy: TcpProxy, serverUrl: string): string {
  return Object.assign(new URL(serverUrl), { port: String(proxy.port) }).href;
}
