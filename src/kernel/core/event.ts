import type { Static, TObject } from '@sinclair/typebox';
import { TypeCompiler } from '@sinclair/typebox/compiler';
import { arrange } from './canonical-json.ts';

/** An event type, declared once in the contract of the service that produces it. */
export interface EventDefinition<Type extends string = string, Schema extends TObject = TObject> {
  readonly type: Type;
  readonly version: number;
  readonly schema: Schema;
  readonly description: string;
  /** The path and problem of the first thing that the schema refuses, or undefined when the payload is valid. */
  problem(data: unknown): string | undefined;
  /** The payload with its properties in the order of canonical JSON, which makes it cheap to seal and to store. */
  arrange(data: object): object;
}

/** The payload type of a definition. */
export type PayloadOf<D extends EventDefinition> = Static<D['schema']>;

/** The undecided form `{type, data}` of a definition: what deciders return. */
export type EventOf<D extends EventDefinition> = D extends EventDefinition
  ? { readonly type: D['type']; readonly data: PayloadOf<D> }
  : never;

/** What is known of an event besides its payload: CloudEvents extension attributes. */
export interface EventMetadata {
  /** The business process that the event belongs to: the payment's id, or the stream's own. */
  readonly correlationid: string;
  /** The event, or the command, that led to it. */
  readonly causationid?: string;
  /** W3C trace context, version 00. */
  readonly traceparent: string;
}

/** An event as it stands in the log. */
export interface RecordedEvent<Data extends object = any> {
  readonly id: string;
  readonly type: string;
  readonly version: number;
  readonly aggregateType: string;
  readonly aggregateId: string;
  /** 1 for the first event of its stream. */
  readonly streamPosition: number;
  /** Which chain (log of one writer) it stands in, and where: positions of a chain have no gaps. */
  readonly chain: number;
  readonly chainPosition: number;
  /** The global order; known once read back from the store. */
  readonly sequence?: number;
  /** When it happened, milliseconds since 1970. */
  readonly time: number;
  readonly data: Data;
  readonly metadata: EventMetadata;
  /** Names the store whose chain it is, where the event came from a bus that several may share. */
  readonly store?: string;
}

/**
 * Declares an event type. The schema is closed: properties that it does not name are refused.
 * @param options.type the CloudEvents type, such as `payments.created`
 * @param options.version starts at 1; a published version is never changed except by adding optional fields
 */
export function defineEvent<Type extends string, Schema extends TObject>(options: {
  readonly type: Type;
  readonly version: number;
  readonly description: string;
  readonly schema: Schema;
}): EventDefinition<Type, Schema> {
  const names = Object.keys(options.schema.properties).sort();
  let compiled: ReturnType<typeof TypeCompiler.Compile<Schema>> | undefined;
  return {
    ...options,
    arrange: (data) => arrange(data as Record<string, unknown>, names),
    problem: (data) => {
      compiled ??= TypeCompiler.Compile(options.schema);
      if (compiled.Check(data)) return undefined;
      const first = compiled.Errors(data).First();
      return first === undefined ? 'the payload does not fit its schema' : `${first.path || '/'}: ${first.message}`;
    },
  };
}

/** The trace id inside a traceparent: 32 hex digits. */
export function traceIdOf(traceparent: string): string {
  return traceparent.slice(3, 35);
}

/** A traceparent for an event: the trace goes on, and the span is named after the event's own id. */
export function traceparentFor(traceId: string, eventId: string): string {
  return `00-${traceId}-${eventId.slice(19, 23)}${eventId.slice(24)}-01`;
}
