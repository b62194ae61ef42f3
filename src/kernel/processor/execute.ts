import type { RecordedEvent } from '../core/event.ts';
import type { Result } from '../core/result.ts';

/** A command for one stream. */
export interface StreamCommand {
  readonly aggregate: string;
  readonly id: string;
  readonly command: object;
  /** True when the id was made for this command, so that no such stream can exist: saves looking. */
  readonly fresh?: boolean;
}

/** What became of one command: the stream's state after it and the events appended, or the refusal. */
export type CommandResult<State = any> = Result<{ readonly state: State; readonly events: readonly RecordedEvent[] }>;

/** A key under which the answer is stored, in the transaction of the command's effect. */
export interface AnswerKey {
  /** `http` for the Idempotency-Key header; natural keys have scopes of their own. */
  readonly scope: string;
  readonly key: string;
  /** SHA-256, hex, of what was asked: the same key for something else is refused. */
  readonly requestHash: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

/** One request: its commands take effect together, at most once per key. */
export interface ExecuteRequest<Answer> {
  readonly commands: readonly StreamCommand[];
  readonly keys?: readonly AnswerKey[];
  /** 32 hex digits. */
  readonly traceId: string;
  /** Default: for each command the id of its stream. */
  readonly correlationId?: string;
  /** Who asked for it, where that is worth keeping with the events: `operator:<name>`. */
  readonly causationId?: string;
  /** Makes the answer, plain JSON, from the results (in the order of the commands). It is stored under the keys. */
  answer(results: readonly CommandResult[]): Answer;
}

export interface Executed<Answer> {
  readonly answer: Answer;
  /** True when it is the stored answer of an earlier request with the same key. */
  readonly replayed: boolean;
}

/** What routes and workers see of a service's processor. */
export interface Executor {
  /**
   * Decides and makes durable; resolves after the commit.
   * @throws UnavailableError the store is out of reach; nothing is known to have happened
   * @throws RequestError `too_many_requests`, `idempotency_key_reused`, `idempotency_key_in_progress`
   */
  execute<Answer>(request: ExecuteRequest<Answer>): Promise<Executed<Answer>>;
  /** The present state of a stream and its position (0: it does not exist). */
  load<State>(aggregate: string, id: string): Promise<{ readonly state: State; readonly position: number }>;
}
