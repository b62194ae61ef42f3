/** Runs the work of one caller in lanes: within a lane one after another, in the order given; lanes side by side. */
export interface Lanes {
  /**
   * Puts work at the end of its lane. Resolves as soon as more may be put, not when it is done.
   * @throws the first error of any work; nothing that had not begun by then is begun
   */
  put(lane: string, work: () => Promise<void>): Promise<void>;
  /** Resolves when all work is done. @throws as `put` */
  finish(): Promise<void>;
}

/** @param maxWaiting work that waits or runs at most */
export function createLanes(maxWaiting: number): Lanes {
  const ends = new Map<string, Promise<void>>();
  let waiting = 0;
  let failure: { readonly cause: unknown } | undefined;
  let changed: () => void = () => undefined;

  const run = async (before: Promise<void> | undefined, work: () => Promise<void>): Promise<void> => {
    await before;
    try {
      if (failure === undefined) await work();
    } catch (cause) {
      failure ??= { cause };
    }
    waiting -= 1;
    changed();
  };

  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        changed = resolve;
      });
    }
    if (failure !== undefined) throw failure.cause;
  };

  return {
    put: (lane, work) => {
      waiting += 1;
      const end = run(ends.get(lane), work);
      ends.set(lane, end);
      void end.then(() => {
        if (ends.get(lane) === end) ends.delete(lane);
      });
      return until(() => waiting < maxWaiting || failure !== undefined);
    },
    finish: () => until(() => waiting === 0),
  };
}
