import { pause, type Scheduler } from '../core/clock.ts';
import { ConflictError, MembershipLostError, toError, UnavailableError } from '../core/errors.ts';
import type { RecordedEvent } from '../core/event.ts';
import type { Progress, Store, Writer } from '../event-store/store.ts';
import type { Log } from '../observability/log.ts';
import type { Consumer } from './consumer.ts';
import { LANDINGS, type Landing, landingsOf } from './landings.ts';
import { type Place, placesOf, type Topic, type Topology } from './topology.ts';

/** An event on its way out of the store. */
export interface Departure {
  readonly event: RecordedEvent;
  readonly place: Place;
}

/** Events that were written together to one partition: the first at `offset`, the others behind it one by one. */
export interface Arrival {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly events: readonly RecordedEvent[];
}

/** Where events go: Kafka, or a list in a test. */
export interface Destination {
  /** Says which topics will be written to: those that are missing are made before the next event. */
  prepare(topics: readonly Topic[]): void;
  /**
   * Writes events, in order for each partition. Called again only when it has ended.
   * @throws UnavailableError it is not known which of them were written
   */
  send(departures: readonly Departure[]): Promise<readonly Arrival[]>;
  close(): Promise<void>;
}

export interface RelaySettings {
  /** Events that are sent together at most. */
  readonly maxBatch: number;
  readonly heartbeatMs: number;
}

/** Carries the events of a store to Kafka, in the order of the log. One process at a time does it; the others stand by. */
export interface Relay {
  readonly name: string;
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Events that have not arrived yet; 0 for one that stands by. */
  lag(): Promise<number>;
  /** Milliseconds between an event and its arrival in Kafka, of the last batch: the oldest event's. */
  readonly lastDelayMs: number;
  /** Why events cannot leave; undefined while they can, or another process sees to it. */
  readonly trouble: string | undefined;
  /** Whether it is this one that carries; the others stand by. */
  readonly active: boolean;
}

interface Ports {
  readonly store: Store;
  /** Of all types that the topology routes, exclusive: it knows who is active, and how far the relay has come. */
  readonly consumer: Consumer;
  readonly destination: Destination;
  /**
   * The topologies whose topics get each event. Asked after each joining: who changes them puts the relay out, so that its
   * progress at that moment says which events were the first to go to others.
   */
  topologies(): Promise<readonly Topology[]>;
  readonly clock: Scheduler;
  readonly log: Log;
}

const RETRY_MS = 500;
const NAME = 'relay';

/**
 * The relay of one store. What it has sent is noted in one transaction with how far it has come; what was sent and could not
 * be noted is sent again, and readers know it by its position in its chain.
 */
export function createRelay(settings: RelaySettings, ports: Ports): Relay {
  const { store, consumer, destination, clock, log } = ports;
  let writer: Writer;
  let topologies: readonly Topology[] = [];
  let stopping = false;
  /** Why events cannot leave: it is said once. */
  let trouble: string | undefined;
  let lastDelayMs = 0;
  let wake: () => void = () => undefined;
  let finished: Promise<void> = Promise.resolve();
  let endBeats: () => void = () => undefined;
  /** While one batch is sent, the one before it is noted, and what comes after it is read. */
  let noted: Promise<void> = Promise.resolve();
  let reading: Promise<void> | undefined;

  const waitForWork = async (): Promise<void> => {
    if (stopping || consumer.pending > 0 || consumer.needsCare) return;
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  };

  const step = async (): Promise<void> => {
    reading = consumer.readAhead?.();
    reading?.catch(() => undefined);
    if (reading === undefined && consumer.needsCare) {
      await noted;
      await consumer.maintain();
    }
    // Another has taken over, and knows how it is.
    if (consumer.owned.length === 0) trouble = undefined;
    if (consumer.pending === 0) await reading;
    const taken = consumer.take(settings.maxBatch);
    if (taken !== undefined && taken.events.length > 0) await carry(taken.events, taken.progress);
    await reading;
    if (consumer.pending > 0) return;
    await noted;
    const progress = consumer.idleProgress();
    if (progress !== undefined) await save(progress, []);
  };

  const prepare = async (): Promise<void> => {
    topologies = await ports.topologies();
    destination.prepare([
      ...new Map(topologies.flatMap(({ topics }) => topics.map((topic) => [topic.name, topic]))).values(),
    ]);
  };

  const carry = async (events: readonly RecordedEvent[], progress: Progress): Promise<void> => {
    const departures = events.flatMap((event) => placesOnAll(topologies, event).map((place) => ({ event, place })));
    const arrivals = await send(departures);
    const now = clock.now();
    await noted;
    noted = save(
      progress,
      arrivals.flatMap((arrival) => landingsOf(arrival, arrival.offset, arrival.events, now)),
    );
    noted.catch(() => undefined);
    lastDelayMs = clock.now() - events[0]!.time;
  };

  const send = async (departures: readonly Departure[]): Promise<readonly Arrival[]> => {
    try {
      const arrivals = await destination.send(departures);
      if (trouble !== undefined)
        log.info({ topologies: topologies.map(({ name }) => name) }, 'events leave for Kafka again');
      trouble = undefined;
      return arrivals;
    } catch (cause) {
      const error = toError(cause);
      if (trouble === undefined) log.warn({ error }, 'events wait in the log until they can leave for Kafka');
      trouble = error.message;
      throw cause;
    }
  };

  const save = async (progress: Progress, landings: readonly Landing[]): Promise<void> => {
    await writer.commit({
      appends: [],
      progress,
      rows: [{ table: LANDINGS, rows: landings.map((row) => ({ ...row })) }],
    });
    consumer.confirm(progress);
  };

  const recover = async (cause: unknown): Promise<void> => {
    await Promise.allSettled([reading, noted]);
    noted = Promise.resolve();
    const error = toError(cause);
    if (passesByWaiting(error)) log.debug({ error }, 'the relay waits');
    else log.error({ error }, 'the relay cannot go on; trying again');
    await pause(clock, RETRY_MS);
    await restart(cause instanceof MembershipLostError);
  };

  /** What was taken is lost here until the consumer is rewound: nothing else may be sent before. */
  const restart = async (membershipLost: boolean): Promise<void> => {
    while (!stopping) {
      try {
        await writer.recover();
        await consumer.rewind(membershipLost);
        return await prepare();
      } catch (again) {
        log.debug({ error: toError(again) }, 'the relay waits for the store');
        membershipLost ||= again instanceof MembershipLostError;
        await pause(clock, RETRY_MS);
      }
    }
  };

  const run = async (): Promise<void> => {
    while (!stopping) {
      await waitForWork();
      try {
        if (!stopping) await step();
      } catch (cause) {
        if (!stopping) await recover(cause);
      }
    }
  };

  return {
    name: NAME,
    get lastDelayMs() {
      return lastDelayMs;
    },
    get trouble() {
      return trouble;
    },
    get active() {
      return consumer.owned.length > 0;
    },
    start: async () => {
      writer = await store.openWriter(NAME);
      consumer.onReady(() => wake());
      await consumer.start();
      await prepare();
      endBeats = clock.every(settings.heartbeatMs, () => {
        consumer
          .heartbeat()
          .then(() => wake())
          .catch((error: Error) => log.debug({ error }, 'the heartbeat of the relay failed'));
      });
      finished = run();
    },
    stop: async () => {
      stopping = true;
      endBeats();
      wake();
      // What is being sent to brokers that do not answer would be waited for in vain.
      await destination.close();
      await finished;
      // What cannot be noted now is sent again by the next one.
      await noted.catch(() => undefined);
      await consumer.stop().catch((error: Error) => log.warn({ error }, 'the relay could not leave its group'));
      await writer.close();
    },
    lag: () => consumer.lag(),
  };
}

/** Topologies may have a topic in common; an event is written to it once. */
function placesOnAll(topologies: readonly Topology[], event: RecordedEvent): readonly Place[] {
  const places = topologies.flatMap((topology) => placesOf(topology, event));
  if (topologies.length === 1) return places;
  return [...new Map(places.map((place) => [place.topic, place])).values()];
}

function passesByWaiting(error: Error): boolean {
  return error instanceof UnavailableError || error instanceof ConflictError || error instanceof MembershipLostError;
}
