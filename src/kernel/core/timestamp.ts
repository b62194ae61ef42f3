let formattedTime = Number.NaN;
let formatted = '';
let parsedText = '';
let parsed = Number.NaN;

/**
 * A moment (milliseconds since 1970) as RFC 3339 text in UTC, with milliseconds. The last one is kept: the events of a
 * batch share their time, and formatting costs 0.7 µs.
 */
export function toTimestamp(time: number): string {
  if (time !== formattedTime) {
    formatted = new Date(time).toISOString();
    formattedTime = time;
  }
  return formatted;
}

/** The moment, in milliseconds since 1970, of a text that `toTimestamp` made; NaN when it is none. The last one is kept. */
export function fromTimestamp(text: string): number {
  if (text !== parsedText) {
    parsed = Date.parse(text);
    parsedText = text;
  }
  return parsed;
}

/** @param time milliseconds since 1970; null stays null */
export function timestampOrNull(time: number | null): string | null {
  return time === null ? null : toTimestamp(time);
}
