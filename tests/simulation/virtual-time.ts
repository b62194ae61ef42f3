/** Time that passes only when something is due: the one queue of all that happens in a simulation. */
export interface VirtualTime {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls after `ms` milliseconds; of two that are due at the same time, the one that was asked for first. */
  after(ms: number, call: () => void): Cancel;
  /**
   * Lets the next thing happen, and everything that follows from it without waiting.
   * @returns false when nothing is due any more
   */
  step(): Promise<boolean>;
  /** How many things have happened. */
  readonly steps: number;
}

export type Cancel = () => void;

interface Entry {
  readonly time: number;
  readonly order: number;
  call: (() => void) | undefined;
}

/** @param start milliseconds since 1970 */
export function createVirtualTime(start: number): VirtualTime {
  const heap: Entry[] = [];
  let now = start;
  let asked = 0;
  let steps = 0;

  return {
    now: () => now,
    after: (ms, call) => {
      const entry: Entry = { time: now + Math.max(0, ms), order: asked++, call };
      push(heap, entry);
      return () => {
        entry.call = undefined;
      };
    },
    step: async () => {
      for (let next = pop(heap); next !== undefined; next = pop(heap)) {
        if (next.call === undefined) continue;
        now = next.time;
        steps += 1;
        next.call();
        await settled(steps);
        return true;
      }
      return false;
    },
    get steps() {
      return steps;
    },
  };
}

/** So often the event loop turns, so that signals are heard, and what was rejected and never caught is reported. */
const STEPS_PER_TURN = 1_000;

/**
 * Resolves when every promise has been followed as far as it goes: nothing in a simulation waits for the outside, and
 * Node calls a next tick only when no promise is left to follow.
 */
function settled(steps: number): Promise<void> {
  return new Promise((resolve) => {
    if (steps % STEPS_PER_TURN === 0) setImmediate(resolve);
    else process.nextTick(resolve);
  });
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.time < b.time || (a.time === b.time && a.order < b.order);
}

/** A binary heap, the next entry first. */
function push(heap: Entry[], entry: Entry): void {
  let at = heap.length;
  heap.push(entry);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!isBefore(entry, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = entry;
}

function pop(heap: Entry[]): Entry | undefined {
  const first = heap[0];
  const last = heap.pop();
  if (first === undefined || last === first || last === undefined) return first;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
    if (!isBefore(heap[child]!, last)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
  return first;
}
