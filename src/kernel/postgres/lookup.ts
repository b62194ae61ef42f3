/** Rows by their ids: those that there are. */
export type Lookup<Row> = (ids: readonly string[]) => Promise<ReadonlyMap<string, Row>>;

/** Ids asked for at once, at most; further ones wait for the next query. */
const MAX_IDS = 1000;

/** Those who wait for some ids. */
interface Asked<Row> {
  readonly ids: readonly string[];
  readonly answer: PromiseWithResolvers<ReadonlyMap<string, Row>>;
}

/**
 * Look-ups that come while one is under way wait for it, and then go to the database together, as one query: under load a
 * query serves many callers. Nobody gets rows that were read before they asked.
 * @param find the rows of these ids, each id once
 */
export function createLookup<Row>(
  find: (ids: readonly string[]) => Promise<readonly Row[]>,
  idOf: (row: Row) => string,
): Lookup<Row> {
  let waiting: Asked<Row>[] = [];
  let isUnderWay = false;

  const takeSome = (): readonly Asked<Row>[] => {
    let ids = 0;
    const count = waiting.findIndex((asked) => {
      ids += asked.ids.length;
      return ids > MAX_IDS;
    });
    // Whoever asks for more than that alone gets a query alone.
    const taken = waiting.slice(0, count < 0 ? waiting.length : Math.max(1, count));
    waiting = waiting.slice(taken.length);
    return taken;
  };

  const run = async (): Promise<void> => {
    isUnderWay = true;
    while (waiting.length > 0) {
      const taken = takeSome();
      try {
        const rows = await find([...new Set(taken.flatMap(({ ids }) => ids))]);
        const byId = new Map(rows.map((row) => [idOf(row), row]));
        for (const { answer } of taken) answer.resolve(byId);
      } catch (cause) {
        for (const { answer } of taken) answer.reject(cause);
      }
    }
    isUnderWay = false;
  };

  return (ids) => {
    const answer = Promise.withResolvers<ReadonlyMap<string, Row>>();
    waiting.push({ ids, answer });
    if (!isUnderWay) void run();
    return answer.promise;
  };
}
