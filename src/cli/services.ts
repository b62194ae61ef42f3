import type { Log } from '#kernel/observability/log.ts';
import type { ServiceDefinition } from '#kernel/processor/service.ts';
import { prepareServices, serviceDefinitions } from '#src/composition/services.ts';
import type { Config, ServiceName } from '#src/config.ts';

/** Nothing here speaks to a card gateway. */
const NO_GATEWAY = { url: 'http://127.0.0.1:0', webhookSecret: 'not used' };

/** Every event-sourced service as the settings make it, to be looked at, not run. */
export async function definedServices(config: Config, log: Log): Promise<ReadonlyMap<ServiceName, ServiceDefinition>> {
  const inputs = await prepareServices(config, NO_GATEWAY.url, NO_GATEWAY.webhookSecret, log);
  inputs.rules.stop();
  return serviceDefinitions(inputs);
}
