/**
 * How far a reader has come in the log: for each chain, the last position handled. The log is one chain per writer;
 * a chain is appended to by one transaction after another, so its positions have no gaps and a reader that counts
 * them can never skip the event of a transaction that commits late. In one log chains have numbers; a reader of several
 * gives them names (see `bus/kafka/standing.ts`).
 */
export type LogPosition = Readonly<Record<number | string, number>>;

export const LOG_START: LogPosition = Object.freeze({});

/** The position in one chain; 0 when nothing of it was handled. */
export function positionIn(position: LogPosition, chain: number | string): number {
  return position[chain] ?? 0;
}

/** The earlier of the two in every chain: where a reader must start to miss nothing of either. */
export function earlier(a: LogPosition, b: LogPosition): LogPosition {
  const result: Record<string, number> = {};
  for (const chain of Object.keys(a)) {
    const least = Math.min(a[chain]!, positionIn(b, chain));
    if (least > 0) result[chain] = least;
  }
  return result;
}

/** The later of the two in every chain: what is handled when both are. */
export function later(a: LogPosition, b: LogPosition): LogPosition {
  const result: Record<string, number> = { ...a };
  for (const chain of Object.keys(b)) {
    result[chain] = Math.max(b[chain]!, positionIn(a, chain));
  }
  return result;
}

/** How many events lie between the two: the lag of a reader at `behind` when the log's end is `ahead`. */
export function distance(behind: LogPosition, ahead: LogPosition): number {
  let total = 0;
  for (const chain of Object.keys(ahead)) {
    total += Math.max(0, ahead[chain]! - positionIn(behind, chain));
  }
  return total;
}
