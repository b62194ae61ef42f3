/**
 * Waits for the work, but no longer than the limit, which only ends a campaign that hangs.
 * @param what is under way, for the message @throws Error that says so when the limit is over
 */
export function within<T>(limitMs: number, what: string, work: Promise<T>): Promise<T> {
  const { promise: over, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`not done after ${limitMs} ms: ${what}`)), limitMs);
  return Promise.race([work, over]).finally(() => clearTimeout(timer));
}
