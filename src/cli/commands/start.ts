import { Command } from 'commander';
import { createLog, LOG_LEVELS, type LogLevel } from '#kernel/observability/log.ts';
import { type Config, ConfigError, readConfig } from '#src/config.ts';
import { type Platform, startPlatform } from '#src/main.ts';
import { logDestination } from '../log-lines.ts';
import { withExample } from '../options.ts';
import { paint, printFields } from '../output.ts';

const FORCED = 1;

/** What a parent process that talks to this one is told when everything runs. */
export interface Welcome {
  readonly url: string;
  /** Its name in the store. */
  readonly instance: string;
}

export function createCommand(): Command {
  const start = new Command('start').addHelpText(
    'after',
    '\nIt takes its settings from the environment: see "bin/caudal config". Log lines are JSON on standard error, or in CAUDAL_LOG_FILE.',
  );
  return withExample(
    start,
    'start',
    'start    # PORT=9090 CAUDAL_DATA=/srv/caudal before it: other port, other folder',
  ).action(run);
}

async function run(): Promise<void> {
  const config = readConfig(process.env);
  const log = createLog(logLevelOf(config), logDestination(config.logFile));
  const stopAsked = watchSignals();
  console.log(paint('dim', 'Caudal starts…'));
  const platform = await startPlatform(config, log);
  printWelcome(platform, config);
  if (process.connected) process.send?.({ url: platform.url, instance: config.instance } satisfies Welcome);
  await stopAsked;
  console.log(
    `Stopping: finishing what is in hand, at most ${config.shutdownTimeoutMs / 1000} s. Ctrl-C again stops at once.`,
  );
  const forced = setTimeout(() => {
    console.error(
      'caudal: it did not stop in time (SHUTDOWN_TIMEOUT_MS), and is stopped now; nothing acknowledged is lost',
    );
    process.exit(FORCED);
  }, config.shutdownTimeoutMs);
  await platform.stop();
  clearTimeout(forced);
  console.log('Stopped.');
}

/**
 * Resolves at the first signal, and when a parent process that talks to this one is gone, however it ended; the second signal ends
 * the process.
 */
function watchSignals(): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    const onSignal = (): void => {
      if (asked) process.exit(FORCED);
      asked = true;
      resolve();
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
    process.once('disconnect', resolve);
    // Listening must not keep the process alive when all else has ended.
    process.channel?.unref();
  });
}

function logLevelOf({ logLevel }: Config): LogLevel {
  const level = LOG_LEVELS.find((known) => known === logLevel);
  if (level === undefined) throw new ConfigError(`LOG_LEVEL=${logLevel}: must be one of ${LOG_LEVELS.join(', ')}`);
  return level;
}

function printWelcome({ url, gatewayUrl, services }: Platform, config: Config): void {
  const payment = '{"amount": 100.50, "currency": "USD", "method": "credit_card", "customer_id": "customer-123"}';
  console.log(paint('bold', '\nCaudal runs. Ctrl-C stops it; the next start goes on with the same data.\n'));
  printFields({
    API: `${url}/api/v1`,
    documentation: `${url}/docs`,
    'card gateway':
      gatewayUrl === undefined
        ? undefined
        : `${gatewayUrl}  (${config.gatewayUrl === undefined ? 'simulator' : 'GATEWAY_URL'})`,
    data: config.databaseUrl === undefined ? config.dataDir : 'in PostgreSQL: DATABASE_URL',
    services: services.join(', '),
  });
  console.log(`
Try:
  curl -X POST ${url}/payments -H "Content-Type: application/json" -d '${payment}'
  bin/caudal payments list
  bin/caudal events tail --follow
`);
}
