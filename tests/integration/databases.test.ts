import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPostgresGroupStore } from '#kernel/bus/postgres/group-store.ts';
import { createLog } from '#kernel/observability/log.ts';
import { type Databases, neededServices, openDatabases } from '#src/composition/databases.ts';
import { type Config, ConfigError, readConfig, SERVICE_NAMES, type ServiceName } from '#src/config.ts';
import { createDatabase } from '../support/postgres.ts';

const log = createLog('silent');
const KAFKA = { KAFKA_BROKERS: '127.0.0.1:1' };

function configOf(env: Record<string, string>): Config {
  return readConfig({ DATABASE_POOL_SIZE: '2', ...env });
}

async function opened<T>(
  config: Config,
  services: readonly ServiceName[],
  look: (databases: Databases) => T | Promise<T>,
): Promise<T> {
  const databases = await openDatabases(config, log, services);
  try {
    return await look(databases);
  } finally {
    await databases.close();
  }
}

function refusal(config: Config, services: readonly ServiceName[], message: RegExp): Promise<void> {
  return assert.rejects(
    opened(config, services, () => undefined),
    (error: Error) => error instanceof ConfigError && message.test(error.message),
  );
}

/** Has a service run there, as far as the database knows. */
async function occupy({ pool, topologies }: Databases['all'][number], service: ServiceName): Promise<void> {
  await createPostgresGroupStore(pool).enter(service, 'member', { home: topologies[0].name, on: () => [] });
}

test('services share the common database unless they have one of their own; each has the tables of its services', async () => {
  const [common, wallets] = [await createDatabase(), await createDatabase()];
  const config = configOf({ ...KAFKA, DATABASE_URL: common, DATABASE_URL_WALLETS: wallets });
  await opened(config, SERVICE_NAMES, async (databases) => {
    assert.equal(databases.all.length, 2);
    assert.deepEqual(databases.all.map(databases.servicesOf), [
      ['payments', 'fraud', 'gateway', 'metrics', 'catalog', 'inventory', 'purchases'],
      ['wallets'],
    ]);
    const schemas = async (service: ServiceName) => {
      const rows = await databases
        .of(service)
        .pool.query<{ name: string }>(
          `SELECT nspname AS name FROM pg_namespace WHERE nspname IN ('payments', 'wallets', 'gateway', 'metrics', 'catalog', 'inventory', 'purchases') ORDER BY 1`,
        );
      return rows.map(({ name }) => name);
    };
    assert.deepEqual(await schemas('fraud'), ['catalog', 'gateway', 'inventory', 'metrics', 'payments', 'purchases']);
    assert.deepEqual(await schemas('wallets'), ['wallets']);
  });
});

test('two addresses of one database are one', async () => {
  const common = await createDatabase();
  const same = common.replace('127.0.0.1', 'localhost');
  assert.notEqual(same, common);
  const config = configOf({ ...KAFKA, DATABASE_URL: common, DATABASE_URL_FRAUD: same });
  await opened(config, SERVICE_NAMES, ({ all, of }) => {
    assert.equal(all.length, 1);
    assert.equal(of('fraud'), of('payments'));
  });
});

test('a process opens what its services need, and one with the API or the metrics all of it', async () => {
  const [common, wallets] = [await createDatabase(), await createDatabase()];
  const env = { ...KAFKA, DATABASE_URL: common, DATABASE_URL_WALLETS: wallets };
  assert.deepEqual(neededServices(configOf({ ...env, CAUDAL_SERVICES: 'wallets' })), ['wallets']);
  for (const role of ['api', 'metrics'])
    assert.deepEqual(neededServices(configOf({ ...env, CAUDAL_SERVICES: role })), SERVICE_NAMES);
  await opened(configOf(env), ['wallets'], ({ all, of }) => {
    assert.equal(all.length, 1);
    assert.throws(() => of('payments'), /database of payments is not open/);
  });
});

test('different databases without Kafka between them are refused', async () => {
  const config = configOf({ DATABASE_URL: await createDatabase(), DATABASE_URL_WALLETS: await createDatabase() });
  await refusal(config, SERVICE_NAMES, /payments and wallets have different databases .* KAFKA_BROKERS/);
});

test('a service is not let away from its past: neither by a process that opens both databases, nor by its own', async () => {
  const [common, wallets] = [await createDatabase(), await createDatabase()];
  const shared = configOf({ ...KAFKA, DATABASE_URL: common });
  await opened(shared, SERVICE_NAMES, ({ of }) => occupy(of('wallets'), 'wallets'));
  const apart = configOf({ ...KAFKA, DATABASE_URL: common, DATABASE_URL_WALLETS: wallets });
  await refusal(apart, SERVICE_NAMES, /DATABASE_URL_WALLETS: what the wallets service has done so far/);
  await refusal(apart, ['wallets'], /DATABASE_URL_WALLETS: what the wallets service has done so far/);
  await opened(shared, SERVICE_NAMES, ({ all }) => assert.equal(all.length, 1));
});

test('databases on different topologies are refused', async () => {
  const [common, wallets] = [await createDatabase(), await createDatabase()];
  const env = { ...KAFKA, DATABASE_URL: common, DATABASE_URL_WALLETS: wallets };
  await opened(configOf({ ...env, CAUDAL_TOPOLOGY: 'by-flow' }), ['wallets'], () => undefined);
  await refusal(configOf(env), SERVICE_NAMES, /on different topologies: by-type, by-flow/);
});
