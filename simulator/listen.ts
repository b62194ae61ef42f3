import { once } from 'node:events';
import type { Server } from 'node:http';

/**
 * Listens on the first free port, counting up from `port`; port 0 lets the system choose.
 * @throws Error that names the settings when none of the ports tried is free, or the address cannot be used
 */
export async function listen(
  server: Server,
  { host, port, portTries }: { host: string; port: number; portTries: number },
): Promise<void> {
  for (let candidate = port; candidate < port + portTries && candidate <= 65_535; candidate++) {
    if (await tryPort(server, host, candidate)) return;
  }
  throw new Error(
    `no port from ${port} to ${port + portTries - 1} on ${host} is free: set SIMULATOR_PORT to another one`,
  );
}

/** Whether the server listens now; false when the port is in use. */
async function tryPort(server: Server, host: string, port: number): Promise<boolean> {
  server.listen({ host, port });
  try {
    await once(server, 'listening');
    return true;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') return false;
    throw new Error(`cannot listen on ${host}:${port}, set SIMULATOR_HOST or SIMULATOR_PORT: ${message}`, {
      cause: error,
    });
  }
}
