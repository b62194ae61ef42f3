/** Timers that can all be dropped at once, so that a stopped simulator leaves nothing behind. */
export interface Timers {
  /** Runs `action` once after `ms` milliseconds, at the next turn when that is zero or less. */
  after(ms: number, action: () => void): void;
  /** Resolves after `ms` milliseconds; never, when the timers are cleared before. */
  sleep(ms: number): Promise<void>;
  /** Drops every timer that has not run. */
  clear(): void;
}

export function createTimers(): Timers {
  const running = new Set<NodeJS.Timeout>();

  function after(ms: number, action: () => void): void {
    const timer = setTimeout(
      () => {
        running.delete(timer);
        action();
      },
      Math.max(0, ms),
    );
    running.add(timer);
  }

  function clear(): void {
    for (const timer of running) clearTimeout(timer);
    running.clear();
  }

  return { after, clear, sleep: (ms) => new Promise((resolve) => after(ms, resolve)) };
}
