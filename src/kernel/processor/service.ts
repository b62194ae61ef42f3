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
  /**
   * For a request that may be a repetition: the first event of the stream at or after `since` (milliseconds since 1970)
   * that matches is given to `decide` as `context.earlier`.
   */
  readonly lookBack?: { readonly since: number; readonly matches: (event: RecordedEvent) => boolean };
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
  /** Where messages go that this service cannot handle. */
  readonly dlqTopic: string;
}
