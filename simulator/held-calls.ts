import type { ServerResponse } from 'node:http';
import { createTimers } from './timers.ts';

/** Calls that stay unanswered: their connections are kept open until the caller gives up. */
export interface HeldCalls {
  /** Keeps the call, up to the longest time; cuts the one held longest when there are too many. */
  hold(response: ServerResponse): void;
  size(): number;
  /** Cuts all of them. */
  clear(): void;
}

export function createHeldCalls({ holdMs, maxHeldCalls }: { holdMs: number; maxHeldCalls: number }): HeldCalls {
  const held = new Set<ServerResponse>();
  const timers = createTimers();

  function hold(response: ServerResponse): void {
    if (response.destroyed) return;
    held.add(response);
    response.on('close', () => held.delete(response));
    timers.after(holdMs, () => cut(response));
    const [oldest] = held;
    if (held.size > maxHeldCalls && oldest !== undefined) cut(oldest);
  }

  function cut(response: ServerResponse): void {
    held.delete(response);
    response.destroy();
  }

  function clear(): void {
    timers.clear();
    for (const response of held) cut(response);
  }

  return { hold, size: () => held.size, clear };
}
