import type { EventMetadata, RecordedEvent } from '../core/event.ts';
import type { LogPosition } from '../core/log-position.ts';
import type { Row, TableDefinition } from '../core/table.ts';

/** Names one stream: the ordered events of one payment, one wallet… */
export interface StreamRef {
  readonly type: string;
  readonly id: string;
}

/** An event that is about to be appended: everything but its place in the log. */
export interface PendingEvent {
  readonly id: string;
  readonly type: string;
  readonly version: number;
  readonly time: number;
  readonly data: object;
  readonly metadata: EventMetadata;
}

/** Events for the end of one stream, which must now stand at `expectedPosition` (0: must not exist yet). */
export interface StreamAppend {
  readonly stream: StreamRef;
  readonly expectedPosition: number;
  /**
   * The month (see `monthOf`) that the event at expectedPosition is stored in, where the caller knows it from a load or
   * an append; the store then needs no look at other months' partitions.
   */
  readonly lastMonth?: number;
  readonly events: readonly PendingEvent[];
}

/** A stream that a batch was decided on and adds nothing to: it must still stand where it was seen. */
export type SeenStream = Pick<StreamAppend, 'stream' | 'expectedPosition'>;

/** The stored answer to a command that came with an idempotency key. */
export interface StoredAnswer {
  /** Keys of different scopes (one per service) do not meet. */
  readonly scope: string;
  readonly key: string;
  /** SHA-256 of what was asked, hex: the same key for something else is refused. */
  readonly requestHash: string;
  /** What the command handler answered: plain JSON. */
  readonly answer: unknown;
  /** Milliseconds since 1970, after which the key may be forgotten. */
  readonly expiresAt: number;
}

/** A state saved beside its stream, so that a load reads this and the tail. */
export interface Snapshot {
  readonly stream: StreamRef;
  readonly position: number;
  readonly stateVersion: number;
  readonly state: unknown;
}

/** Whole rows to insert or replace, each once per key. */
export interface RowWrites {
  readonly table: TableDefinition;
  readonly rows: readonly Row[];
}

/** Amounts to add, each key once; the stripe is the writer's own. */
export interface SumWrites {
  readonly table: TableDefinition;
  readonly rows: readonly Row[];
}

/** Progress of a consumer, saved in the transaction of what it did. */
export interface Progress {
  readonly consumer: string;
  /** The member of the consumer group that speaks; it must still be one, or the commit is refused. */
  readonly member: string;
  /** Opaque to the store: written by the bus, read by the bus. */
  readonly value: unknown;
}

/** A message that could not be handled, kept for its next attempt or for an operator. See `bus/dead-letters.ts`. */
export interface FailedMessage {
  readonly consumer: string;
  readonly eventId: string;
  readonly topic: string;
  readonly partition: number;
  readonly key: string;
  readonly dlqTopic: string;
  /** The whole recorded event, as it was read. */
  readonly event: RecordedEvent;
  readonly attempts: number;
  readonly error: string;
  readonly fingerprint: string;
  readonly failedAt: number;
  /** When it is tried again; undefined: it is dead, for an operator. */
  readonly retryAt?: number;
}

/** What a batch does to the failed messages: keep, settle after success, or give to the operators. */
export interface FailureWrites {
  readonly failed: readonly FailedMessage[];
  /** Messages that had failed before and were handled now. */
  readonly settled: readonly { readonly consumer: string; readonly eventId: string }[];
}

/** Everything that one batch does; all of it or nothing takes effect. */
export interface Commit {
  readonly appends: readonly StreamAppend[];
  readonly seen?: readonly SeenStream[];
  readonly answers?: readonly StoredAnswer[];
  readonly snapshots?: readonly Snapshot[];
  readonly rows?: readonly RowWrites[];
  readonly sums?: readonly SumWrites[];
  readonly progress?: Progress;
  readonly failures?: FailureWrites;
  /**
   * The commit, by the same writer, that this batch was decided on: unless that takes effect, neither does this. It may
   * still be under way, or have ended. Without it, what became of the commits before makes no difference.
   */
  readonly after?: Promise<unknown>;
}

/** Where a commit's events landed. */
export interface Committed {
  readonly chain: number;
  /** In order of the appends; chain positions are contiguous. */
  readonly events: readonly RecordedEvent[];
  /** The month (see `monthOf`) that they are stored in. */
  readonly month: number;
}

/** One writer of the log: owns a chain and a connection; its commits follow one another. */
export interface Writer {
  /**
   * Makes one batch durable. Batches take effect in the order in which they are handed in.
   * @throws ConflictError a stream, an idempotency key or a consumer's membership is not as expected: nothing changed
   * @throws UnavailableError the store cannot be reached: nothing is known to have changed
   * @throws DataError the store refuses a value: the batch holds something that no waiting will mend
   * @throws BatchBeforeFailedError the commit that it was decided on took no effect, so this took none
   */
  commit(batch: Commit): Promise<Committed>;
  /**
   * After an UnavailableError: resolves once the store is back and nothing of the failed commit is still under way, so
   * that what is read from then on is final. @throws UnavailableError when it is not back yet
   */
  recover(): Promise<void>;
  close(): Promise<void>;
}

/** A stream to be loaded: whole, or what came after a position where its state is known. */
export interface StreamLoad extends StreamRef {
  /** Of the snapshots that can be used. */
  readonly stateVersion: number;
  readonly after?: {
    readonly position: number;
    /** The month that the event at the position is stored in, where it is known. */
    readonly month: number | undefined;
  };
}

/** A stream as loaded: its snapshot, if one can be used, and the events after it; or the events after what was known of it. */
export interface LoadedStream {
  readonly stream: StreamRef;
  readonly snapshot?: Snapshot;
  readonly events: readonly RecordedEvent[];
  /** The month of the last event; undefined when nothing was found. */
  readonly lastMonth?: number;
}

/** A page of the log in an order that keeps every stream's and every cause's. */
export interface LogPage {
  readonly events: readonly RecordedEvent[];
  /** Where to go on: covers the events returned and those that the type filter left out. */
  readonly next: LogPosition;
  /** True when nothing was left to read at the time. */
  readonly atEnd: boolean;
  /** What was read and comes after the page. Given to the call that goes on from `next`, it need not be read again. */
  readonly beyond?: readonly RecordedEvent[];
}

export interface LogRead {
  readonly types?: readonly string[];
  readonly limit: number;
  readonly beyond?: readonly RecordedEvent[];
}

/** The port of the event store: PostgreSQL in production, memory in simulations; one contract suite for both. */
export interface Store {
  openWriter(name: string): Promise<Writer>;
  /** In the order asked. */
  loadStreams(streams: readonly StreamLoad[]): Promise<readonly LoadedStream[]>;
  /** Events of a stream with `from` <= position, ascending, or `backwards` from the end; at most `limit`. */
  readStream(
    stream: StreamRef,
    options: { readonly from?: number; readonly limit: number; readonly backwards?: boolean },
  ): Promise<readonly RecordedEvent[]>;
  /**
   * The log after `after`: up to `limit` events of each chain; `types` undefined: every type; `beyond`: that of the page that ended
   * there, read with the same types and limit.
   */
  readLog(after: LogPosition, options: LogRead): Promise<LogPage>;
  /** The end of the log at this moment. */
  head(): Promise<LogPosition>;
  findAnswers(keys: readonly { readonly scope: string; readonly key: string }[]): Promise<readonly StoredAnswer[]>;
  /** Rows by key, for projections; missing ones are left out. */
  loadRows(table: TableDefinition, keys: readonly (readonly (string | number)[])[]): Promise<readonly Row[]>;
}

/** The month of a moment as one number, `year * 12 + month`: what partitions are made by. UTC. */
export function monthOf(time: number): number {
  const date = new Date(time);
  return date.getUTCFullYear() * 12 + date.getUTCMonth();
}

/** `payments/0190…`: how a stream is written in logs and messages. */
export function streamName(stream: StreamRef): string {
  return `${stream.type}/${stream.id}`;
}
