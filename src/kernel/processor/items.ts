import type { Place } from '../bus/topology.ts';
import type { RecordedEvent } from '../core/event.ts';
import type { Executed, ExecuteRequest } from './execute.ts';
import type { RetryingMessage } from './failures.ts';

/** A message of the bus, to be handled. */
export interface MessageItem {
  readonly kind: 'message';
  readonly event: RecordedEvent;
  /** Set when this is another attempt. */
  readonly retry?: RetryingMessage;
}

/** A request that waits for its answer. */
export interface RequestItem {
  readonly kind: 'request';
  readonly request: ExecuteRequest<unknown>;
  readonly since: number;
  resolve(executed: Executed<unknown>): void;
  reject(error: Error): void;
}

export type Item = MessageItem | RequestItem;

/** What a message became in a batch that was decided but is not committed yet. */
export interface Failure {
  readonly item: MessageItem;
  readonly place: Place;
  readonly error: Error;
}

/** What a request is told once the batch is committed. */
export interface Settlement {
  readonly item: RequestItem;
  readonly executed?: Executed<unknown>;
  readonly error?: Error;
}
