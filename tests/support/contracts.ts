import { declaredEvents } from '../../tools/declared-events.ts';

const definitions = new Map(declaredEvents.map(({ definition }) => [definition.type, definition]));

/** What is wrong with an event's payload, or undefined when it fits the schema of its type. */
export function payloadProblem(event: { readonly type: string; readonly data: object }): string | undefined {
  const definition = definitions.get(event.type);
  return definition === undefined ? `no contract declares ${event.type}` : definition.problem(event.data);
}
