import type { Clock } from '../core/clock.ts';
import { RequestError, UnavailableError } from '../core/errors.ts';
import type { Executed, ExecuteRequest } from './execute.ts';
import type { RequestItem } from './items.ts';

const RETRY_AFTER_SECONDS = 1;

/** The requests that wait for a batch: bounded, and one at a time for each key. */
export interface RequestQueue {
  readonly length: number;
  /**
   * Puts a request in the queue; resolves with its answer.
   * @throws RequestError `too_many_requests`, `idempotency_key_in_progress`
   */
  ask<Answer>(request: ExecuteRequest<Answer>): Promise<Executed<Answer>>;
  take(max: number): readonly RequestItem[];
  /** Requests that were taken and have to be decided again come first. */
  putBack(items: readonly RequestItem[]): void;
  /** Answers all that wait with an error. */
  failAll(error: Error): void;
}

/** @param onAsked called when there is something to take */
export function createRequestQueue(maxQueued: number, clock: Clock, onAsked: () => void): RequestQueue {
  const queue: RequestItem[] = [];
  const running = new Set<string>();

  const enqueue = <Answer>(request: ExecuteRequest<Answer>): Promise<Executed<Answer>> =>
    new Promise((resolve, reject) => {
      queue.push({ kind: 'request', request, since: clock.now(), resolve: resolve as RequestItem['resolve'], reject });
      onAsked();
    });

  return {
    get length() {
      return queue.length;
    },
    ask: async (request) => {
      if (queue.length >= maxQueued) {
        throw new RequestError('too_many_requests', `${queue.length} requests wait already`, RETRY_AFTER_SECONDS);
      }
      const keys = (request.keys ?? []).map((key) => `${key.scope}\u0000${key.key}`);
      if (keys.length === 0) return enqueue(request);
      if (keys.some((key) => running.has(key))) {
        const message = 'the first request with this key is still running';
        throw new RequestError('idempotency_key_in_progress', message, RETRY_AFTER_SECONDS);
      }
      for (const key of keys) running.add(key);
      try {
        return await enqueue(request);
      } finally {
        for (const key of keys) running.delete(key);
      }
    },
    take: (max) => queue.splice(0, max),
    putBack: (items) => void queue.unshift(...items),
    failAll: (error) => failRequests(queue.splice(0), error),
  };
}

/** Answers the requests with an error: that their outcome is not known now, unless it says more. */
export function failRequests(requests: readonly RequestItem[], cause: Error): void {
  const error = cause instanceof UnavailableError ? cause : new UnavailableError(cause.message, { cause });
  for (const item of requests) item.reject(error);
}
