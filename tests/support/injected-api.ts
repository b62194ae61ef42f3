import type { FastifyInstance, InjectOptions } from 'fastify';
import type { Tail } from '#kernel/bus/tail.ts';
import type { Store } from '#kernel/event-store/store.ts';
import { createLog } from '#kernel/observability/log.ts';
import { createMetrics } from '#kernel/observability/metrics.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import type { ApiContext } from '#src/api/context.ts';
import { apiRoutes } from '#src/api/routes.ts';
import { buildApp } from '#src/api/server.ts';
import { apiContext } from '#src/composition/api-context.ts';
import { type Databases, openDatabases } from '#src/composition/databases.ts';
import { createHomes } from '#src/composition/homes.ts';
import type { Kernel } from '#src/composition/kernel.ts';
import { loadExchangeRates } from '#src/composition/rates.ts';
import { prepareServices, runServices, serviceDefinitions } from '#src/composition/services.ts';
import { type Config, readConfig, SERVICE_NAMES } from '#src/config.ts';
import { createDatabase } from './postgres.ts';

/** Where the settings name none, no card gateway is there: payments by card wait for it. */
const NO_GATEWAY = 'http://127.0.0.1:9';

export interface Response {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
  /** Parsed when it is JSON, else the text. */
  readonly body: any;
}

/** The API of a process that runs payments, fraud and wallets on a database of its own; requests go in without a network. */
export interface InjectedApi {
  readonly kernel: Kernel;
  readonly databases: Databases;
  readonly store: Store;
  readonly sql: Sql;
  readonly tail: Tail;
  readonly context: ApiContext;
  readonly config: Config;
  readonly definitions: ReturnType<typeof serviceDefinitions>;
  /** The same services with another context: to see what the API makes of a part that fails. */
  withContext(changes: Partial<ApiContext>): Promise<Pick<InjectedApi, 'send' | 'get' | 'post'>>;
  send(options: InjectOptions): Promise<Response>;
  get(url: string, headers?: InjectOptions['headers']): Promise<Response>;
  /** @param body an object is sent as JSON, a text as JSON text */
  post(url: string, body: object | string, headers?: InjectOptions['headers']): Promise<Response>;
  close(): Promise<void>;
}

/** Starts it; to be closed before the database server of the tests ends, hence in the `after` of a suite. */
export async function startInjectedApi(settings: Partial<Config> = {}): Promise<InjectedApi> {
  const databaseUrl = await createDatabase();
  const config = readConfig({}, { databaseUrl, services: ['payments', 'fraud', 'wallets'], ...settings });
  const log = createLog('silent');
  const databases = await openDatabases(config, log, SERVICE_NAMES);
  const inputs = await prepareServices(config, config.gatewayUrl ?? NO_GATEWAY, 'secret', log);
  const metrics = createMetrics();
  const definitions = serviceDefinitions(inputs);
  const homes = await createHomes(config, databases, definitions, metrics, log);
  const [home] = homes.all;
  const { kernel } = home;
  await home.start();
  const kernelOf = () => kernel;
  const services = runServices({ config, kernelOf, inputs, definitions, onGatewayCall: metrics.gateway.call, log });
  await services.start();
  const rates = await loadExchangeRates(config.ratesFile);
  const context = apiContext({ config, homes, services, inputs, rates, metrics, log });
  const open: FastifyInstance[] = [];

  const build = async (changes: Partial<ApiContext>) => {
    const changed = { ...context, metrics: createMetrics(), ...changes };
    const app = await buildApp(changed, apiRoutes(changed));
    open.push(app);
    return caller(app);
  };

  const close = async (): Promise<void> => {
    for (const app of open) await app.close();
    await services.stop();
    await home.stop();
    inputs.rules.stop();
    inputs.provider.close();
    await databases.close();
  };
  const { tail } = kernel;
  const [{ store, sql }] = context.databases;
  return {
    kernel,
    databases,
    store,
    sql,
    tail,
    context,
    config,
    definitions,
    withContext: build,
    close,
    ...(await build({})),
  };
}

function caller(app: FastifyInstance): Pick<InjectedApi, 'send' | 'get' | 'post'> {
  const send = async (options: InjectOptions): Promise<Response> => {
    const { statusCode, headers, body } = await app.inject(options);
    const isJson = String(headers['content-type']).includes('json');
    return { status: statusCode, headers, text: body, body: isJson ? JSON.parse(body) : body };
  };
  return {
    send,
    get: (url, headers = {}) => send({ method: 'GET', url, headers }),
    post: (url, body, headers = {}) =>
      send({ method: 'POST', url, payload: body, headers: { 'content-type': 'application/json', ...headers } }),
  };
}
