import type { GroupStore } from '#kernel/bus/group.ts';
import { UnavailableError } from '#kernel/core/errors.ts';
import type { Store, Writer } from '#kernel/event-store/store.ts';
import type { FailureStore } from '#kernel/processor/failures.ts';
import type { Backend } from './backends.ts';

/** Which calls of one process fail. */
export interface Faults {
  /** Nothing reaches the store. */
  down: boolean;
  /** The process cannot say that it lives; its work goes on. */
  mute: boolean;
  /** So many commits take effect, but their answer is lost. */
  lostAnswers: number;
}

/** One process's view of a backend, with faults to be set at will. */
export interface FaultyView {
  readonly switches: Faults;
  readonly store: Store;
  readonly groups: GroupStore;
  readonly failures: FailureStore;
}

/** Wraps what a process sees of the backend. */
export function faultyView({ store, groups, failures }: Backend): FaultyView {
  const switches: Faults = { down: false, mute: false, lostAnswers: 0 };
  const check = (): void => {
    if (switches.down) throw new UnavailableError('out of reach, says the test');
  };
  const wrapWriter = (writer: Writer): Writer => ({
    commit: async (batch) => {
      check();
      const committed = await writer.commit(batch);
      if (switches.lostAnswers === 0 || batch.appends.length === 0) return committed;
      switches.lostAnswers -= 1;
      throw new UnavailableError('the answer was lost, says the test');
    },
    recover: async () => {
      check();
      return writer.recover();
    },
    close: () => writer.close(),
  });
  const wrapped = guarded(store, check);
  return {
    switches,
    store: { ...wrapped, openWriter: async (name) => wrapWriter(await store.openWriter(name)) },
    groups: {
      ...guarded(groups, check),
      heartbeat: async (consumer, member, leaseMs) => {
        check();
        if (switches.mute) throw new UnavailableError('not heard, says the test');
        return groups.heartbeat(consumer, member, leaseMs);
      },
    },
    failures: guarded(failures, check),
  };
}

/** The same methods, each with a check before it. */
function guarded<T extends object>(port: T, check: () => void): T {
  const methods = Object.entries(port).map(([name, method]) => [
    name,
    async (...args: unknown[]) => {
      check();
      return (method as (...args: unknown[]) => Promise<unknown>)(...args);
    },
  ]);
  return Object.fromEntries(methods) as T;
}
