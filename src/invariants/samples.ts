import { canonicalJson } from '#kernel/core/canonical-json.ts';
import type { Clock } from '#kernel/core/clock.ts';
import { DataError, toError } from '#kernel/core/errors.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { InvariantError } from '#kernel/core/invariant.ts';
import type { RowProjection } from '#kernel/core/projection.ts';
import type { Row } from '#kernel/core/table.ts';
import type { Store } from '#kernel/event-store/store.ts';
import { groupByKey } from '#kernel/processor/inline.ts';
import { type Finding, nameOf } from './finding.ts';
import type { Check } from './monitor.ts';

/** Read models of which each row is the fold of events of one stream, and says by `version` how far it has come. */
export interface SampledModels {
  /** The type of the streams. */
  readonly aggregate: string;
  readonly projections: readonly RowProjection[];
}

export interface SampleSettings {
  /** Streams looked at after each page; what is left out `caudal verify` finds. */
  readonly perPage: number;
  /**
   * A row may differ for so long, milliseconds: it is behind the log, and while a payment is under way its deadline may
   * have been reckoned by another process with other settings.
   */
  readonly graceMs: number;
}

interface Ports {
  readonly store: Pick<Store, 'readStream' | 'loadRows'>;
  readonly clock: Clock;
  /** 0 ≤ x < 1. */
  readonly random: () => number;
}

/** A stream to look at, and since when it is to be. */
interface Sample {
  readonly id: string;
  readonly since: number;
}

/** A longer stream is left to `caudal verify`. */
const MAX_STREAM_EVENTS = 500;
/** Samples that are looked at again. */
const MAX_WAITING = 1000;

/** Compares rows of read models with the fold of their streams: some of those that the new events are about. */
export function createSampleCheck(models: SampledModels, settings: SampleSettings, ports: Ports): Check {
  const { aggregate, projections } = models;
  const { store, clock, random } = ports;
  let waiting: Sample[] = [];

  const rowsOf = async (id: string): Promise<readonly Folded[]> => {
    const events = await store.readStream({ type: aggregate, id }, { limit: MAX_STREAM_EVENTS });
    if (events.length === MAX_STREAM_EVENTS) return [];
    const parts = projections.flatMap((projection) =>
      [
        ...groupByKey(
          projection,
          events.filter((event) => projection.events.includes(event.type)),
        ).values(),
      ].map(({ key, events: own }) => ({ projection, key, own })),
    );
    return Promise.all(
      parts.map(async (part) => ({ ...part, row: (await store.loadRows(part.projection.table, [part.key]))[0] })),
    );
  };

  const check = async (sample: Sample): Promise<readonly Finding[]> => {
    const findings = (await rowsOf(sample.id)).flatMap((folded) => [...differenceOf(folded), ...latenessOf(folded)]);
    if (findings.length === 0 || clock.now() - sample.since >= settings.graceMs) return findings;
    if (waiting.length < MAX_WAITING) waiting.push(sample);
    return [];
  };

  return {
    look: async (events) => {
      const ids = new Set(
        events.filter((event) => event.aggregateType === aggregate).map((event) => event.aggregateId),
      );
      const chosen = pickSome([...ids], settings.perPage, random).map((id) => ({ id, since: clock.now() }));
      const samples = [...waiting, ...chosen];
      waiting = [];
      const findings: Finding[] = [];
      for (const sample of samples) findings.push(...(await check(sample)));
      return findings;
    },
    clear: () => {
      waiting = [];
    },
  };
}

/** Up to `count` of the items, each with the same chance. */
export function pickSome<T>(items: T[], count: number, random: () => number): readonly T[] {
  for (let i = 0; i < Math.min(count, items.length - 1); i++) {
    const other = i + Math.floor(random() * (items.length - i));
    [items[i], items[other]] = [items[other]!, items[i]!];
  }
  return items.slice(0, count);
}

/** A row, and the events that it is made of. */
interface Folded {
  readonly projection: RowProjection;
  readonly key: readonly (string | number)[];
  readonly own: readonly RecordedEvent[];
  readonly row: Row | undefined;
}

function versionOf({ row }: Folded): number {
  return row === undefined ? 0 : Number(row.version);
}

/** What a row has that its events up to its version do not say. */
function differenceOf(folded: Folded): readonly Finding[] {
  const { projection, own, row } = folded;
  const events = own.filter(({ streamPosition }) => streamPosition <= versionOf(folded));
  if (row === undefined || events.length === 0 || versionOf(folded) > own.at(-1)!.streamPosition) return [];
  try {
    const expected = events.reduce<Row | undefined>((before, event) => projection.evolve(before, event), undefined)!;
    const wrong = Object.keys(projection.table.columns).filter(
      (column) => canonicalJson(row[column] ?? null) !== canonicalJson(expected[column] ?? null),
    );
    if (wrong.length === 0) return [];
    const texts = wrong.map(
      (column) => `${column} is ${canonicalJson(row[column] ?? null)}, not ${canonicalJson(expected[column] ?? null)}`,
    );
    return [finding(folded, events.at(-1)!, texts.join(', '))];
  } catch (cause) {
    if (!(cause instanceof InvariantError || cause instanceof DataError)) throw cause;
    return [finding(folded, events.at(-1)!, `it cannot be made from its events: ${toError(cause).message}`)];
  }
}

function latenessOf(folded: Folded): readonly Finding[] {
  const version = versionOf(folded);
  const last = folded.own.at(-1)!;
  if (version === last.streamPosition) return [];
  const next = folded.own.find(({ streamPosition }) => streamPosition > version);
  if (next === undefined) return [finding(folded, last, `it stands at ${version}, after the last event`)];
  return [finding(folded, next, `it stands at ${version}, and does not take this in`)];
}

function finding({ projection, key }: Folded, event: RecordedEvent, what: string): Finding {
  const row = `${projection.table.name} ${key.join(' ')}`;
  return { invariant: 'read_model', message: `${row}: ${what} (${nameOf(event)})`, eventId: event.id, subject: row };
}
