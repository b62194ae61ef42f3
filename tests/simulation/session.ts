import { BatchBeforeFailedError, ConflictError, UnavailableError } from '#kernel/core/errors.ts';
import type { Commit, Committed, Writer } from '#kernel/event-store/store.ts';
import type { Faults } from './faults.ts';
import type { Link } from './link.ts';
import type { Machine } from './machine.ts';
import type { VirtualTime } from './virtual-time.ts';

/** A commit on its way to the database. */
interface Sent {
  readonly batch: Commit;
  /** Undefined while it is on its way. */
  tookEffect: boolean | undefined;
  readonly answer: (outcome: Outcome) => void;
}

type Outcome = { readonly committed: Committed } | { readonly error: Error };

interface Ports {
  readonly machine: Machine;
  readonly link: Link;
  readonly time: VirtualTime;
  readonly faults: Faults;
  readonly isDown: () => boolean;
}

const LATE_MS = 3_000;
/** What was sent before a process died arrives, or not. */
const ARRIVES_ANYWAY = 0.5;

/**
 * A writer's connection to the database. Commits are sent one behind another without waiting, and take effect in that
 * order; when the connection breaks, nobody knows how many of them did, and the last may do so late.
 */
export function createSession(writer: Writer, ports: Ports): Writer {
  const { machine, link, time, faults, isDown } = ports;
  const sentBy = new WeakMap<Promise<unknown>, Sent>();
  let queue: Sent[] = [];
  let busy = false;
  let broken = false;
  let late = 0;

  const pump = (): void => {
    const [next] = queue;
    if (busy || next === undefined) return;
    busy = true;
    time.after(link.latency(), () => {
      if (!machine.alive && !faults.random.chance(ARRIVES_ANYWAY)) return abandon();
      arrive(next);
    });
  };

  const arrive = (sent: Sent): void => {
    if (faults.hit('commit takes effect late')) {
      takeEffectLate(sent);
      return;
    }
    if (isDown() || faults.hit('commit refused')) {
      breakOff(sent);
      return;
    }
    void execute(sent).then((outcome) => {
      if (faults.hit('crash after commit')) machine.kill();
      if (faults.hit('commit answer lost')) return breakOff(sent);
      if (queue[0] !== sent) return;
      queue.shift();
      sent.answer(outcome);
      busy = false;
      pump();
    });
  };

  const execute = async (sent: Sent): Promise<Outcome> => {
    const { after, ...batch } = sent.batch;
    const before = after === undefined ? undefined : sentBy.get(after);
    if (before?.tookEffect === false) {
      sent.tookEffect = false;
      return { error: new BatchBeforeFailedError('the batch before this one took no effect') };
    }
    try {
      if (faults.hit('commit conflicts')) throw new ConflictError('could not serialize access, says the simulation');
      const committed = await writer.commit(batch);
      sent.tookEffect = true;
      return { committed };
    } catch (cause) {
      sent.tookEffect = false;
      return { error: cause as Error };
    }
  };

  /** The connection breaks at this commit; those behind it may have arrived all the same. */
  const breakOff = (sent: Sent): void => {
    broken = true;
    const behind = queue.slice(1);
    queue = [];
    busy = false;
    const arrived = sent.tookEffect === true ? behind.slice(0, faults.random.below(behind.length + 1)) : [];
    void executeAll(arrived).then(() => {
      for (const each of [sent, ...behind]) {
        each.tookEffect ??= false;
        each.answer({ error: new UnavailableError('the connection broke, says the simulation') });
      }
    });
  };

  const executeAll = async (all: readonly Sent[]): Promise<void> => {
    for (const sent of all) await execute(sent);
  };

  const takeEffectLate = (sent: Sent): void => {
    late += 1;
    time.after(faults.random.between(1, LATE_MS), () => void execute(sent).then(() => (late -= 1)));
    const behind = queue.slice(1);
    queue = [];
    busy = false;
    broken = true;
    for (const each of [sent, ...behind])
      each.answer({ error: new UnavailableError('no answer came in time, says the simulation') });
  };

  const abandon = (): void => {
    queue = [];
    busy = false;
    void writer.close();
  };

  /** The database lets go of a session once it notices that nobody is there. */
  machine.onKilled(() => {
    if (queue.length === 0) time.after(link.latency(), () => void writer.close());
    else time.after(link.latency() + LATE_MS, abandon);
  });

  const commit = (batch: Commit): Promise<Committed> => {
    if (faults.hit('crash before commit')) {
      machine.kill();
      return new Promise(() => undefined);
    }
    const { promise, resolve, reject } = Promise.withResolvers<Committed>();
    const answer = (outcome: Outcome): void =>
      void time.after(link.latency(), () =>
        machine.call(() => ('committed' in outcome ? resolve(outcome.committed) : reject(outcome.error))),
      );
    const sent: Sent = { batch, tookEffect: undefined, answer };
    sentBy.set(promise, sent);
    if (broken) {
      sent.tookEffect = false;
      answer({ error: new UnavailableError('the connection is broken, says the simulation') });
    } else {
      queue.push(sent);
      pump();
    }
    return promise;
  };

  return {
    commit,
    recover: async () => {
      await link.ask(async () => {
        if (late > 0) throw new UnavailableError('a commit is still under way, says the simulation');
        broken = false;
      }, {});
    },
    close: () => link.ask(() => writer.close(), {}),
  };
}
