import { hash } from 'node:crypto';
import type { RecordedEvent } from '../core/event.ts';
import { type LogPosition, positionIn } from '../core/log-position.ts';
import { type Place, placesOf, type Topology } from './topology.ts';

/*
 * Whether two topologies that both get every event hold the same: messages as they stand on the topics, key by key. Keys of
 * the two may differ in kind (a user here, a payment there), and order is promised for each of them only. So the events are
 * grouped by both: those of one group have one key on the topics before and one on the topics to come, and must be as many,
 * the same, and in the same order on either side. What a coarser key to come orders besides, over several keys of before, must
 * be in the order of the log, which is the order in which the relay noted that they landed.
 *
 * A message may stand there more than once: the relay sends again what it could not note. Readers take the first and leave
 * out the others. What stands before the place that was noted is such; what stands behind it counts, and must count on both.
 */

/** A part of the log: what is after `from`, up to `to`. */
export interface LogSlice {
  readonly from: LogPosition;
  readonly to: LogPosition;
}

/** A message of a topic that holds an event of the store. */
export interface StandingEvent {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly key: string;
  readonly event: RecordedEvent;
  /** Of all that the message says, whatever topic it is on. */
  readonly checksum: string;
}

export type Side = 'before' | 'after';

export const DIFFERENCE_KINDS = ['missing', 'surplus', 'altered', 'out of order'] as const;

/** Something that is not the same on both. */
export interface Difference {
  readonly kind: (typeof DIFFERENCE_KINDS)[number];
  /** Where the key stands in the topology to come. */
  readonly topic: string;
  readonly partition: number;
  readonly key: string;
  /** Messages of the key on the topics before, and on those to come. */
  readonly before: number;
  readonly after: number;
  /** Ids of events that it is about. */
  readonly events: readonly string[];
}

export interface SliceResult {
  /** Events that stand on the topics before. */
  readonly events: number;
  /** Keys of the topology to come. */
  readonly keys: number;
  /** Messages that the relay had sent again, on either side. */
  readonly repeats: number;
  readonly differences: readonly Difference[];
}

export interface SliceComparison {
  /** Takes the next message of a partition, in the order of offsets. On the topics before, copies are not looked at. */
  add(side: Side, message: StandingEvent): void;
  result(): SliceResult;
}

interface Ports {
  readonly before: Topology;
  readonly after: Topology;
  readonly slice: LogSlice;
  /** The offset at which the relay noted an event of the slice; undefined when it did not. */
  notedAt(message: Pick<StandingEvent, 'topic' | 'partition' | 'event'>): number | undefined;
}

interface Entry {
  readonly id: string;
  readonly checksum: string;
}

/** What has one key on both sides. */
interface Group {
  readonly place: Place;
  readonly before: Entry[];
  readonly after: Entry[];
  /** Ids of events that a reader of the topics to come would find too late. */
  readonly late: string[];
}

/** How far the messages of a partition have been read. */
interface Reading {
  readonly first: Map<string, string>;
  readonly chains: Map<number, number>;
  noted: number;
}

/** Compares what of one slice of the log stands on the topics of two topologies. */
export function createSliceComparison({ before, after, slice, notedAt }: Ports): SliceComparison {
  const groups = new Map<string, Group>();
  const keys = new Set<string>();
  const readings = new Map<string, Reading>();
  let events = 0;
  let repeats = 0;

  const groupOf = (from: Place, to: Place): Group => {
    const key = nameOf(to);
    const name = `${nameOf(from)} ${key}`;
    let group = groups.get(name);
    if (group === undefined) {
      group = { place: to, before: [], after: [], late: [] };
      groups.set(name, group);
      keys.add(key);
    }
    return group;
  };

  /**
   * One on the side of what is to come; as many as the event has copies there on the other. None for what is no concern of the
   * side: a topic that both have may be for one type on this and for another on that.
   */
  const groupsOf = (side: Side, { topic, partition, key, event }: StandingEvent): readonly Group[] => {
    const own: Place = { topic, partition, key };
    const [from, ...copies] = placesOf(before, event);
    const to = placesOf(after, event);
    const isOn = (places: readonly Place[]): boolean => places.some((place) => place.topic === topic);
    if (from === undefined || to.length === 0) return [];
    if (side === 'after') return !isOn(to) && isOn([from, ...copies]) ? [] : [groupOf(from, own)];
    return from.topic !== topic && isOn([...copies, ...to]) ? [] : to.map((place) => groupOf(own, place));
  };

  const readingOf = (side: Side, { topic, partition }: StandingEvent): Reading => {
    const name = `${side} ${topic}/${partition}`;
    let reading = readings.get(name);
    if (reading === undefined) {
      reading = { first: new Map(), chains: new Map(), noted: -1 };
      readings.set(name, reading);
    }
    return reading;
  };

  /** Whether a reader that goes through the partition takes the event in the order of the log. */
  const isInOrder = (reading: Reading, { chain, chainPosition }: RecordedEvent, noted: number | undefined): boolean => {
    const inOrder = chainPosition > (reading.chains.get(chain) ?? 0) && (noted ?? reading.noted) >= reading.noted;
    if (inOrder) {
      reading.chains.set(chain, chainPosition);
      reading.noted = noted ?? reading.noted;
    }
    return inOrder;
  };

  return {
    add: (side, message) => {
      const { event, checksum, offset } = message;
      const { chain, chainPosition, id } = event;
      if (chainPosition > positionIn(slice.to, chain)) return;
      const found = groupsOf(side, message);
      const put = (): void => {
        for (const group of found) group[side].push({ id, checksum });
      };
      // It was sent before the slice began, and noted then: a reader has taken it.
      if (chainPosition <= positionIn(slice.from, chain)) return put();
      const reading = readingOf(side, message);
      const noted = notedAt(message);
      const name = `${chain}/${chainPosition}`;
      const first = reading.first.get(name);
      if (first === undefined) {
        reading.first.set(name, checksum);
        if (side === 'before') events += found.length > 0 ? 1 : 0;
        else if (!isInOrder(reading, event, noted)) for (const group of found) group.late.push(id);
        return put();
      }
      if (first === checksum && noted !== undefined && offset <= noted) repeats += 1;
      else put();
    },
    result: () => ({
      events,
      keys: keys.size,
      repeats,
      differences: [...groups.values()].flatMap(differencesOf),
    }),
  };
}

function nameOf({ topic, partition, key }: Place): string {
  return `${topic}/${partition} ${key}`;
}

/** How many, and one checksum over all of them in their order. */
function summaryOf(entries: readonly Entry[]): { readonly count: number; readonly checksum: string } {
  return { count: entries.length, checksum: hash('sha256', entries.map(({ checksum }) => checksum).join(' ')) };
}

function differencesOf({ place, before, after, late }: Group): readonly Difference[] {
  const [one, other] = [summaryOf(before), summaryOf(after)];
  if (one.count === other.count && one.checksum === other.checksum && late.length === 0) return [];
  const found = explain(before, after);
  const isExplained = Object.values(found).some((ids) => ids.length > 0);
  const events = { ...found, 'out of order': isExplained ? late : [...new Set([...late, ...moved(before, after)])] };
  const { topic, partition, key } = place;
  return DIFFERENCE_KINDS.filter((kind) => events[kind].length > 0).map((kind) => ({
    kind,
    topic,
    partition,
    key,
    before: one.count,
    after: other.count,
    events: events[kind],
  }));
}

function explain(before: readonly Entry[], after: readonly Entry[]) {
  const [one, other] = [Map.groupBy(before, ({ id }) => id), Map.groupBy(after, ({ id }) => id)];
  const missing: string[] = [];
  const surplus: string[] = [];
  const altered: string[] = [];
  for (const id of new Set([...one.keys(), ...other.keys()])) {
    const [here, there] = [one.get(id) ?? [], other.get(id) ?? []];
    const known = new Set(here.map(({ checksum }) => checksum));
    if (here.length > 0 && there.some(({ checksum }) => !known.has(checksum))) altered.push(id);
    else if (there.length < here.length) missing.push(id);
    else if (there.length > here.length) surplus.push(id);
  }
  return { missing, surplus, altered };
}

/** The ids at which the two orders differ. */
function moved(before: readonly Entry[], after: readonly Entry[]): readonly string[] {
  return after.filter(({ id }, i) => id !== before[i]?.id).map(({ id }) => id);
}
