import type { MemoryTables } from '../../event-store/memory/tables.ts';
import type { FailureStore } from '../../processor/failures.ts';
import { partitionName } from '../group.ts';

/** The messages that wait for another attempt, in memory, for tests and simulations. */
export function createMemoryFailureStore(tables: MemoryTables): FailureStore {
  return {
    retrying: async (consumer, partitions, limit) => {
      const names = new Set(partitions.map(partitionName));
      return [...tables.failures.values()]
        .filter((row) => row.consumer === consumer && row.status === 'retrying' && names.has(partitionName(row)))
        .slice(0, limit)
        .map(({ event, topic, partition, key, attempts, retryAt }) => ({
          event: JSON.parse(event),
          place: { topic, partition, key },
          attempts,
          retryAt: retryAt ?? 0,
        }));
    },
  };
}
