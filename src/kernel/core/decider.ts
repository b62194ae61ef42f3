import type { Result } from './result.ts';

/** An event that a decider has decided on, before it is recorded. */
export interface NewEvent {
  readonly type: string;
  readonly data: object;
}

/** What a decider may know besides command and state: the time of the decision, as a value. */
export interface DecisionContext {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** True when this stream answered the same request before; only where the reaction asked to look back. */
  readonly answered?: boolean;
}

/**
 * One kind of aggregate as three pure functions. A saga is the same shape: its commands are what happened elsewhere,
 * and its events include the requests to other services.
 */
export interface Decider<State = any, Command = any, Event extends NewEvent = any> {
  /** The aggregate type: the kind of stream, such as `payment` or `wallet`. */
  readonly aggregate: string;
  /** Raised when the shape of State changes: snapshots of another version are not used. */
  readonly stateVersion: number;
  readonly initial: State;
  evolve(state: State, event: Event): State;
  /** True for a stream that will hardly be asked for again, such as a finished payment: memory is better used for others. */
  settled?(state: State): boolean;
  /** No events and `ok` means: nothing to do (already done, or too late to matter). */
  decide(command: Command, state: State, context: DecisionContext): Result<readonly Event[]>;
}
