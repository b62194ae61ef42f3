import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { onEnd } from './cleanup.ts';

/** A network between a client and a server that can be made to fail. */
export interface TcpProxy {
  /** The url with the proxy's address in place of the server's. */
  readonly url: string;
  /** From now on nothing passes in this direction; what is sent is lost. */
  swallow(direction: 'requests' | 'answers'): void;
  /** Breaks every connection. */
  cut(): void;
  /** Lets everything pass again on new connections. */
  mend(): void;
}

/** Starts a proxy in front of the server of a url, and stops it after the test. */
export async function startTcpProxy(t: TestContext, serverUrl: string): Promise<TcpProxy> {
  const target = new URL(serverUrl);
  const sockets = new Set<Socket>();
  let swallowed: 'requests' | 'answers' | undefined;

  const pass = (from: Socket, to: Socket, direction: 'requests' | 'answers'): void => {
    sockets.add(from);
    from.on('data', (chunk) => {
      if (swallowed !== direction) to.write(chunk);
    });
    from.on('error', () => to.destroy());
    from.on('close', () => {
      sockets.delete(from);
      to.destroy();
    });
  };

  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    pass(client, upstream, 'requests');
    pass(upstream, client, 'answers');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  onEnd(t, async () => {
    cut();
    server.close();
    await once(server, 'close');
  });
  return {
    url: Object.assign(new URL(serverUrl), { port: String((server.address() as AddressInfo).port) }).href,
    swallow: (direction) => {
      swallowed = direction;
    },
    cut,
    mend: () => {
      swallowed = undefined;
    },
  };
}
