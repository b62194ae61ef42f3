/** Where processes that write to the same streams wait for one another, rather than decide in vain. */
export interface Turns {
  /**
   * Runs the work, once, while no other process runs any under the same name; where that cannot be had before long, all the same.
   * @throws what the work throws, and nothing else
   */
  take<T>(name: string, work: () => Promise<T>): Promise<T>;
  /** Whether another process has its turn at this moment. @throws UnavailableError when nobody can say */
  taken(name: string): Promise<boolean>;
}
