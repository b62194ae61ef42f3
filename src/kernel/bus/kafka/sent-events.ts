import type { RecordedEvent } from '../../core/event.ts';

/**
 * The events that this process has sent last. One that comes back is taken from here instead of being decoded, which is a good part
 * of what a process does that both sends events and handles them.
 */
export interface SentEvents {
  note(event: RecordedEvent): void;
  /** The event at that place of the log; once, since few are handled by several services of a process. */
  take(store: string, chain: number, position: number): RecordedEvent | undefined;
}

/** Sets the chains apart in the table: those that are written to at the same time are numbered one by one. */
const BETWEEN_CHAINS = 7_919;

/**
 * @param store names the store whose events are sent
 * @param most so many are kept; a later event takes the place of an earlier one
 */
export function createSentEvents(store: string, most: number): SentEvents {
  const table: (RecordedEvent | undefined)[] = Array.from({ length: most });
  const placeOf = (chain: number, position: number): number => (chain * BETWEEN_CHAINS + position) % most;
  return {
    note: (event) => {
      table[placeOf(event.chain, event.chainPosition)] = event;
    },
    take: (from, chain, position) => {
      const place = placeOf(chain, position);
      const found = table[place];
      if (found?.chain !== chain || found.chainPosition !== position || from !== store) return undefined;
      table[place] = undefined;
      return { ...found, store };
    },
  };
}
