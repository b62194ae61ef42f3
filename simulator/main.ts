import { logToStderr } from './log.ts';
import { createSimulator } from './server.ts';
import { settingsFromEnv } from './settings.ts';

/**
 * Runs the simulator alone, with its settings from the environment, until it is told to stop. A parent process that
 * talks to it is told the address, and takes it along when it ends.
 */
async function main(): Promise<void> {
  const settings = settingsFromEnv(process.env);
  const simulator = createSimulator(settings);
  const { url } = await simulator.start();
  const webhooks = settings.webhookSecret
    ? `to ${settings.webhookUrl}`
    : 'off; set GATEWAY_WEBHOOK_SECRET to sign and send them';
  process.send?.({ url });
  const end = (): void => {
    simulator
      .stop()
      .catch(fail)
      // An open channel to the parent would keep this process alive.
      .finally(() => process.connected && process.disconnect());
  };
  process.once('disconnect', end);
  process.stdout.write(
    `The gateway simulator is at ${url}\n` +
      `  webhooks  ${webhooks}\n` +
      `  record    ${settings.dataFile ?? 'in memory; set SIMULATOR_DATA_FILE to keep it'}\n` +
      `  try       curl ${url}/\n`,
  );
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, end);
  }
}

function fail(error: unknown): void {
  logToStderr('error', error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}

await main().catch(fail);
