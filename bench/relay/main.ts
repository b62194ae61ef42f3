import { setTimeout as sleep } from 'node:timers/promises';
import { ensureTopics } from '#kernel/bus/kafka/topics.ts';
import type { Relay } from '#kernel/bus/relay.ts';
import { UnavailableError } from '#kernel/core/errors.ts';
import { createLog } from '#kernel/observability/log.ts';
import { createMetrics } from '#kernel/observability/metrics.ts';
import { openDatabase, SERVICES_WITH_TABLES } from '#src/composition/database.ts';
import { connectionOf, topicSettingsOf } from '#src/composition/kafka-settings.ts';
import { createKernel, createPostgresBackend } from '#src/composition/kernel.ts';
import { catalogOf, prepareServices, serviceDefinitions, sourceOf } from '#src/composition/services.ts';
import { readConfig } from '#src/config.ts';
import type { RelayAnswer, RelayCommand } from './protocol.ts';

// A process of its own for the relay of a store, as every process of the platform has it, without any service beside it.

const LOOK_MS = 20;
const RETRY_MS = 500;

const config = readConfig(process.env, { services: [] });
const log = createLog('warn');
const database = await openDatabase(config, log, SERVICES_WITH_TABLES);
// The services say what is on the bus; none of them runs, and nobody calls a gateway.
const definitions = serviceDefinitions(await prepareServices(config, 'http://127.0.0.1', '', log));
const backend = await createPostgresBackend(config, database, sourceOf(definitions), log);
const kernel = createKernel(config, backend, catalogOf(definitions), createMetrics().observer, log);

/** What a platform that runs has had for long. */
async function makeTopics(): Promise<void> {
  for (;;) {
    try {
      const { topics } = database.topologies[0];
      return await ensureTopics(connectionOf(config)!, topics, topicSettingsOf(config), log);
    } catch (cause) {
      // A broker that has just started may not know its new topics yet.
      if (!(cause instanceof UnavailableError)) throw cause;
      await sleep(RETRY_MS);
    }
  }
}

/** Starts it, and waits until every event of the log has arrived. @returns how long that took, seconds */
async function carryAll(): Promise<number> {
  const relay = kernel.relay!;
  const started = performance.now();
  await kernel.start();
  while (!relay.active || (await lagOf(relay)) !== 0) await sleep(LOOK_MS);
  return (performance.now() - started) / 1000;
}

/** Undefined when nobody can say: the database has other things to do than to take another connection. */
async function lagOf(relay: Relay): Promise<number | undefined> {
  try {
    return await relay.lag();
  } catch (cause) {
    if (!(cause instanceof UnavailableError)) throw cause;
    return undefined;
  }
}

async function obey({ type }: RelayCommand): Promise<RelayAnswer> {
  if (type === 'start') return { type: 'arrived', seconds: await carryAll() };
  await kernel.stop();
  await database.close();
  return { type: 'closed' };
}

function tell(answer: RelayAnswer): void {
  process.send?.(answer, () => {
    if (answer.type === 'closed' || answer.type === 'failed') process.disconnect();
  });
}

process.on('message', async (command: RelayCommand) => {
  tell(await obey(command).catch((cause: Error): RelayAnswer => ({ type: 'failed', message: cause.stack! })));
});
// The harness has all that it asked for, or is gone.
process.on('disconnect', () => process.exit());
await makeTopics();
tell({ type: 'opened' });
