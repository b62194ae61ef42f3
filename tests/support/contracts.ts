import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { EventDefinition } from '#kernel/core/event.ts';

const SERVICES = join(import.meta.dirname, '../../src/services');

/** An event type, and the service whose contract declares it. */
export interface DeclaredEvent {
  readonly service: string;
  readonly definition: EventDefinition;
}

/** Every event type that a service's contract declares. */
export const declaredEvents: readonly DeclaredEvent[] = await readContracts();

/** What is wrong with an event's payload, or undefined when it fits the schema of its type. */
export function payloadProblem(event: { readonly type: string; readonly data: object }): string | undefined {
  const declared = declaredEvents.find(({ definition }) => definition.type === event.type);
  if (declared === undefined) return `no contract declares ${event.type}`;
  return declared.definition.problem(event.data);
}

async function readContracts(): Promise<readonly DeclaredEvent[]> {
  const found: DeclaredEvent[] = [];
  for (const service of readdirSync(SERVICES).sort()) {
    if (!existsSync(join(SERVICES, service, 'contract.ts'))) continue;
    const contract: Record<string, unknown> = await import(join(SERVICES, service, 'contract.ts'));
    for (const definition of Object.values(contract).filter(isEventDefinition)) found.push({ service, definition });
  }
  return found;
}

function isEventDefinition(value: unknown): value is EventDefinition {
  return typeof value === 'object' && value !== null && 'schema' in value && 'problem' in value;
}
