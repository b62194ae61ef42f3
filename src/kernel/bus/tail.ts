import type { Committed } from '../event-store/store.ts';

/** Follows what this process commits; called in the turn of the commit, so it must be quick. */
export type TailListener = (committed: Committed) => void;

/**
 * The short cut between the services of one process: what was just committed is handed on without reading it back. It is
 * only a hint: a listener takes it when it is surely the next of its chain, else it reads the log.
 */
export interface Tail {
  publish(committed: Committed): void;
  /** Another process may have committed: look into the log. */
  wake(): void;
  subscribe(listener: TailListener, onWake?: () => void): () => void;
  /**
   * True while no other process writes. Then the order in which chains are seen cannot matter: whatever an event follows
   * from was published here before it.
   */
  alone: boolean;
  /**
   * Until when `alone` holds surely, by `performance.now()`: whoever comes does not write before. It is told anew with each
   * heartbeat; a process that is frozen or cut off from the database hears of nothing, but its time passes.
   */
  aloneUntil: number;
  /** Another number whenever others may have written since it was looked at. */
  readonly generation: number;
}

export function createTail(): Tail {
  const listeners = new Set<{ readonly listener: TailListener; readonly onWake?: (() => void) | undefined }>();
  let alone = true;
  let generation = 0;
  return {
    get alone() {
      return alone;
    },
    set alone(isAlone) {
      alone = isAlone;
      if (!isAlone) generation += 1;
    },
    aloneUntil: 0,
    get generation() {
      return generation;
    },
    publish: (committed) => {
      if (committed.events.length === 0) return;
      for (const { listener } of listeners) listener(committed);
    },
    wake: () => {
      for (const { onWake } of listeners) onWake?.();
    },
    subscribe: (listener, onWake) => {
      const entry = { listener, onWake };
      listeners.add(entry);
      return () => listeners.delete(entry);
    },
  };
}
