import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { EventDefinition } from '#kernel/core/event.ts';

const SERVICES = join(import.meta.dirname, '../src/services');

/** An event type, and the service whose contract declares it. */
export interface DeclaredEvent {
  readonly service: string;
  readonly definition: EventDefinition;
}

/** Every event type that a service's contract declares, by service. */
export const declaredEvents: readonly DeclaredEvent[] = await readContracts();

/** Where the fixture of a version of an event is. */
export function fixtureOf({ service, definition }: DeclaredEvent, version: number): string {
  return join(SERVICES, service, 'fixtures', `${definition.type}.v${version}.json`);
}

async function readContracts(): Promise<readonly DeclaredEvent[]> {
  const found: DeclaredEvent[] = [];
  for (const service of readdirSync(SERVICES).sort()) {
    const file = join(SERVICES, service, 'contract.ts');
    if (!existsSync(file)) continue;
    const contract: Record<string, unknown> = await import(file);
    for (const definition of Object.values(contract).filter(isEventDefinition)) found.push({ service, definition });
  }
  return found;
}

function isEventDefinition(value: unknown): value is EventDefinition {
  return typeof value === 'object' && value !== null && 'schema' in value && 'problem' in value;
}
