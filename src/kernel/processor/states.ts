import { LRUCache } from 'lru-cache';
import type { Decider } from '../core/decider.ts';
import type { LoadedStream, Store, StreamLoad, StreamRef } from '../event-store/store.ts';

/** A stream's state at a position. Never changed in place: a newer one takes its place. */
export interface StreamState {
  readonly ref: StreamRef;
  readonly decider: Decider;
  readonly state: unknown;
  readonly position: number;
  /** The month that the last event is stored in, where it is known. */
  readonly lastMonth: number | undefined;
}

interface Kept {
  readonly state: StreamState;
  /** How often all had been doubted when it was loaded. */
  readonly doubts: number;
}

/** The states of streams used lately, bounded; what is not there is loaded from snapshot and tail. */
export interface StateCache {
  /** Undefined also when it is in doubt. */
  get(ref: StreamRef): StreamState | undefined;
  /** The state of a stream that cannot exist yet. */
  fresh(ref: StreamRef): StreamState;
  /** Keeps the state, unless its stream is settled. */
  set(state: StreamState): void;
  /** Loads the streams into the cache. Of one that it holds what came since. */
  load(refs: readonly StreamRef[]): Promise<readonly StreamState[]>;
  /** Others write to the streams: each is looked at again before its state is given. */
  doubt(): void;
  delete(ref: StreamRef): void;
  clear(): void;
  readonly counts: { hits: number; misses: number };
}

/** @param maxStreams how many states of each type are kept at most */
export function createStateCache(store: Store, deciders: readonly Decider[], maxStreams: number): StateCache {
  const byType = new Map(
    deciders.map((decider) => [decider.aggregate, { decider, cache: new LRUCache<string, Kept>({ max: maxStreams }) }]),
  );
  const counts = { hits: 0, misses: 0 };
  /** How often all were doubted. */
  let doubts = 0;

  const of = (ref: StreamRef) => {
    const found = byType.get(ref.type);
    if (found === undefined) throw new Error(`no decider for streams of type ${ref.type}`);
    return found;
  };

  return {
    counts,
    get: (ref) => {
      const found = of(ref).cache.get(ref.id);
      if (found?.doubts === doubts) {
        counts.hits += 1;
        return found.state;
      }
      counts.misses += 1;
      return undefined;
    },
    fresh: (ref) => {
      const { decider } = of(ref);
      return { ref, decider, state: decider.initial, position: 0, lastMonth: undefined };
    },
    set: (state) => {
      const { cache } = of(state.ref);
      if (state.decider.settled?.(state.state)) cache.delete(state.ref.id);
      else cache.set(state.ref.id, { state, doubts });
    },
    load: async (refs) => {
      const asked = doubts;
      const known = refs.map((ref) => of(ref).cache.get(ref.id)?.state);
      const loaded = await store.loadStreams(refs.map((ref, i) => toLoad(ref, of(ref).decider, known[i])));
      const states = loaded.map((stream, i) => replay(stream, of(stream.stream).decider, known[i]));
      for (const state of states) of(state.ref).cache.set(state.ref.id, { state, doubts: asked });
      return states;
    },
    doubt: () => {
      doubts += 1;
    },
    delete: (ref) => void of(ref).cache.delete(ref.id),
    clear: () => {
      for (const { cache } of byType.values()) cache.clear();
    },
  };
}

/** `type/id`: how a stream is written as a key. */
export function keyOf(ref: StreamRef): string {
  return `${ref.type}/${ref.id}`;
}

function toLoad({ type, id }: StreamRef, { stateVersion }: Decider, known: StreamState | undefined): StreamLoad {
  if (known === undefined) return { type, id, stateVersion };
  return { type, id, stateVersion, after: { position: known.position, month: known.lastMonth } };
}

/**
 * The state of a loaded stream. A snapshot is used only when its events go on right after it; the store has compared
 * the version of the state's shape.
 * @param known the state that the events go on from, where there is one
 */
function replay(stream: LoadedStream, decider: Decider, known: StreamState | undefined): StreamState {
  const from = stream.snapshot ?? known;
  let position = from?.position ?? 0;
  let state: unknown = from === undefined ? decider.initial : from.state;
  for (const event of stream.events) {
    if (event.streamPosition !== position + 1) {
      throw new Error(
        `${keyOf(stream.stream)} has no event at ${position + 1}: its snapshot or its log is damaged; run caudal verify`,
      );
    }
    state = decider.evolve(state, event);
    position = event.streamPosition;
  }
  return {
    ref: { type: stream.stream.type, id: stream.stream.id },
    decider,
    state,
    position,
    lastMonth: stream.lastMonth ?? known?.lastMonth,
  };
}
