import type { Clock } from '../core/clock.ts';
import type { NewEvent } from '../core/decider.ts';
import { DataError } from '../core/errors.ts';
import { type EventDefinition, type EventMetadata, type RecordedEvent, traceparentFor } from '../core/event.ts';
import type { IdSource } from '../core/ids.ts';
import type { SeenStream, Snapshot, StreamAppend, StreamRef } from '../event-store/store.ts';
import type { CommandResult, StreamCommand } from './execute.ts';
import type { StreamState } from './states.ts';

/** What led to a command: its metadata go on into the events. */
export interface Cause {
  /** Undefined: each stream is a process of its own. */
  readonly correlationId: string | undefined;
  readonly causationId: string | undefined;
  readonly traceId: string;
}

interface Entry {
  readonly before: StreamState;
  state: unknown;
  events: RecordedEvent[];
}

/**
 * One batch being decided: commands change the states of their streams one after another, in memory; nothing is durable
 * until what `appends` gives is committed.
 */
export interface BatchDecision {
  has(ref: StreamRef): boolean;
  /** Gives the batch the state that a stream has now. */
  enter(state: StreamState): void;
  /** Runs `work`, which decides commands for these streams; when it throws, nothing that it decided stays in the batch. */
  attempt<T>(commands: readonly StreamCommand[], work: () => T): T;
  /**
   * Decides the commands in order, inside an `attempt`.
   * @throws DataError when a decided event does not fit its schema; and what a decider throws
   */
  decide(commands: readonly StreamCommand[], cause: Cause, answered?: boolean): readonly CommandResult[];
  readonly events: readonly RecordedEvent[];
  /** The streams that were entered. */
  touched(): readonly StreamRef[];
  /** By stream, in the order of their names: transactions that append to the same streams meet them in the same order. */
  appends(): readonly StreamAppend[];
  /** The streams that were entered and get no event: what was decided on them is right only while they stand there. */
  seen(): readonly SeenStream[];
  /** Snapshots of the streams that pass a multiple of `every` events. */
  snapshots(every: number): readonly Snapshot[];
  /** The states after the batch, once it is committed into `month`. */
  outcome(month: number): readonly StreamState[];
  /** The same for one stream before the commit; undefined when the batch does not change it. */
  outcomeOf(ref: StreamRef): StreamState | undefined;
}

interface Ports {
  readonly clock: Clock;
  readonly ids: IdSource;
  readonly definitions: ReadonlyMap<string, EventDefinition>;
}

export function createBatchDecision({ clock, ids, definitions }: Ports): BatchDecision {
  const entries = new Map<string, Map<string, Entry>>();
  const events: RecordedEvent[] = [];
  const now = clock.now();

  const find = (type: string, id: string): Entry | undefined => entries.get(type)?.get(id);
  const allEntries = (): Entry[] => [...entries.values()].flatMap((ofType) => [...ofType.values()]);
  const changed = (): Entry[] => allEntries().filter((entry) => entry.events.length > 0);

  const record = (entry: Entry, event: NewEvent, cause: Cause): RecordedEvent => {
    const definition = definitions.get(event.type);
    if (definition === undefined) throw new DataError(`${event.type} is not an event that this service produces`);
    const problem = definition.problem(event.data);
    if (problem !== undefined) throw new DataError(`${event.type} does not fit its schema: ${problem}`);
    const id = ids.uuid();
    return {
      id,
      type: event.type,
      version: definition.version,
      aggregateType: entry.before.ref.type,
      aggregateId: entry.before.ref.id,
      streamPosition: entry.before.position + entry.events.length + 1,
      chain: 0,
      chainPosition: 0,
      time: now,
      data: definition.arrange(event.data),
      metadata: metadataFor(id, entry.before.ref.id, cause),
    };
  };

  const decideOne = (command: StreamCommand, cause: Cause, answered: boolean): CommandResult => {
    const entry = find(command.aggregate, command.id);
    if (entry === undefined) throw new Error(`the state of ${command.aggregate}/${command.id} was not loaded`);
    const { decider } = entry.before;
    const context = answered ? { now, answered } : { now };
    const result = decider.decide(command.command, entry.state, context);
    if (!result.ok) return result;
    const recorded: RecordedEvent[] = [];
    for (const event of result.value as readonly NewEvent[]) {
      const made = record(entry, event, cause);
      entry.state = decider.evolve(entry.state, event);
      entry.events.push(made);
      recorded.push(made);
    }
    events.push(...recorded);
    return { ok: true, value: { state: entry.state, events: recorded } };
  };

  const savepoint = (commands: readonly StreamCommand[]): (() => void) => {
    const count = events.length;
    const saved = commands.map((command) => {
      const entry = find(command.aggregate, command.id);
      return { entry, state: entry?.state, length: entry?.events.length ?? 0 };
    });
    return () => {
      events.length = count;
      for (const { entry, state, length } of saved) {
        if (entry === undefined) continue;
        entry.state = state;
        entry.events.length = length;
      }
    };
  };

  return {
    events,
    has: (ref) => find(ref.type, ref.id) !== undefined,
    enter: (state) => {
      const { type, id } = state.ref;
      let ofType = entries.get(type);
      if (ofType === undefined) {
        ofType = new Map();
        entries.set(type, ofType);
      }
      ofType.set(id, { before: state, state: state.state, events: [] });
    },
    attempt: (commands, work) => {
      const restore = savepoint(commands);
      try {
        return work();
      } catch (cause) {
        restore();
        throw cause;
      }
    },
    decide: (commands, cause, answered = false) => commands.map((command) => decideOne(command, cause, answered)),
    touched: () => allEntries().map((entry) => entry.before.ref),
    appends: () =>
      changed()
        .sort((a, b) => compareRefs(a.before.ref, b.before.ref))
        .map((entry) => toAppend(entry.before, entry.events)),
    seen: () =>
      allEntries()
        .filter((entry) => entry.events.length === 0)
        .map(({ before }) => ({ stream: before.ref, expectedPosition: before.position })),
    snapshots: (every) => {
      const snapshots: Snapshot[] = [];
      for (const entry of changed()) {
        const position = entry.before.position + entry.events.length;
        if (Math.floor(position / every) === Math.floor(entry.before.position / every)) continue;
        const { ref, decider } = entry.before;
        snapshots.push({ stream: ref, position, stateVersion: decider.stateVersion, state: entry.state });
      }
      return snapshots;
    },
    outcome: (month) => changed().map((entry) => stateAfter(entry, month)),
    outcomeOf: (ref) => {
      const entry = find(ref.type, ref.id);
      // Where the batch will be stored is not known yet. The month of the events before it is never later, so that
      // whoever goes on from it has its position looked up rather than taken for proven.
      return entry === undefined || entry.events.length === 0 ? undefined : stateAfter(entry, entry.before.lastMonth);
    },
  };
}

function stateAfter({ before, state, events }: Entry, lastMonth: number | undefined): StreamState {
  return { ref: before.ref, decider: before.decider, state, position: before.position + events.length, lastMonth };
}

function compareRefs(a: StreamRef, b: StreamRef): number {
  if (a.type !== b.type) return a.type < b.type ? -1 : 1;
  return a.id < b.id ? -1 : 1;
}

function toAppend(before: StreamState, events: readonly RecordedEvent[]): StreamAppend {
  const append = { stream: before.ref, expectedPosition: before.position, events };
  return before.lastMonth === undefined ? append : { ...append, lastMonth: before.lastMonth };
}

function metadataFor(eventId: string, streamId: string, cause: Cause): EventMetadata {
  const traceparent = traceparentFor(cause.traceId, eventId);
  const correlationid = cause.correlationId ?? streamId;
  if (cause.causationId === undefined) return { correlationid, traceparent };
  return { causationid: cause.causationId, correlationid, traceparent };
}
