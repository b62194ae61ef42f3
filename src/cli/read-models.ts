import type { Log } from '#kernel/observability/log.ts';
import type { ReadModel } from '#kernel/projections/build.ts';
import type { RebuildPorts } from '#kernel/projections/rebuild.ts';
import type { Databases } from '#src/composition/databases.ts';
import { followerName } from '#src/composition/kernel.ts';
import type { Config, ServiceName } from '#src/config.ts';
import { definedServices } from './services.ts';

/** A read model and how it is kept up to date. */
export interface KnownReadModel extends ReadModel {
  readonly name: string;
  readonly service: ServiceName;
  /** `inline`: in the transaction of the events; `follows`: behind the log, by a position of its own. */
  readonly kept: 'inline' | 'follows';
}

/** Every read model of every service, as the settings make it. */
export async function readModels(config: Config, log: Log): Promise<readonly KnownReadModel[]> {
  return [...(await definedServices(config, log))].flatMap(([service, definition]) => {
    const produced = new Set(definition.produces.map((event) => event.type));
    const inline = definition.inline.map(
      (projection): KnownReadModel => ({
        ...{ name: projection.table.name, service, kept: 'inline', projection, types: projection.events },
        consumer: service,
        ownTypes: new Set(projection.events.filter((type) => produced.has(type))),
      }),
    );
    const following = definition.projections.map(
      (projection): KnownReadModel => ({
        ...{ name: projection.table.name, service, kept: 'follows', projection, types: projection.events },
        consumer: followerName(service),
        ownTypes: new Set(),
      }),
    );
    return [...inline, ...following];
  });
}

/** Where a read model is, and the logs that its service has its messages from. */
export function portsOf({ service }: KnownReadModel, { all, of }: Databases): RebuildPorts {
  const { pool, topologies, storeId } = of(service);
  const others = all.filter((database) => database.storeId !== storeId);
  return { pool, topologies, others: others.map((database) => ({ storeId: database.storeId, sql: database.pool })) };
}
