import type { Decider } from '../core/decider.ts';
import type { EventDefinition, RecordedEvent } from '../core/event.ts';
import type { Projection, RowProjection } from '../core/projection.ts';

/** What a message of the bus leads to: a command for one stream. */
export interface Reaction {
  readonly aggregate: string;
  readonly id: string;
  readonly command: object;
  /** True when the stream cannot exist yet, which saves looking. */
  readonly fresh?: boolean;
  /** For a request that may be a repetition: whether its stream answered before is given to `decide` as `context.answered`. */
  readonly lookBack?: LookBack;
}

/**
 * How the answer to an earlier attempt is found. It stands in the log after the first request, which is what bounds the
 * search: by their places, since the clocks of machines differ and jump.
 */
export interface LookBack {
  /** Names the request: the same for every attempt at it, and for no other. */
  readonly key: string;
  /** True when the request says that it was made before. Else it is looked for only when the message is tried again. */
  readonly repeated: boolean;
  /** Whether an event of the stream that asks is this request, made for the first time or again. */
  readonly isRequest: (event: RecordedEvent) => boolean;
  /** Whether an event of the stream that is asked is the answer. */
  readonly isAnswer: (event: RecordedEvent) => boolean;
}

/** A service as the kernel runs it: pure functions and tables, nothing that waits. */
export interface ServiceDefinition {
  readonly name: string;
  /** What it appends; every payload is checked against these. */
  readonly produces: readonly EventDefinition[];
  readonly deciders: readonly Decider[];
  /** Event types that it consumes, and the commands that each leads to; none is a fine answer. */
  readonly reactions: Readonly<Record<string, (event: RecordedEvent) => readonly Reaction[]>>;
  /** Read models written in the transaction of the batch, from events appended and messages consumed. */
  readonly inline: readonly Projection[];
  /** Read models that follow the log by themselves. */
  readonly projections: readonly RowProjection[];
  /** Where messages go that this service cannot handle, unless the topology has one topic for all of them. */
  readonly dlqTopic: string;
}
