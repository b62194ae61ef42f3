import { pause, type Scheduler } from '../core/clock.ts';
import { ConflictError, MembershipLostError, toError, UnavailableError } from '../core/errors.ts';
import type { RecordedEvent } from '../core/event.ts';
import { distance, LOG_START, type LogPosition, positionIn } from '../core/log-position.ts';
import type { Progress, Store, Writer } from '../event-store/store.ts';
import type { Log } from '../observability/log.ts';
import type { Consumer } from './consumer.ts';
import type { MemberProgress } from './group.ts';
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
  /** Says which topics will be written to. */
  prepare(topics: readonly Topic[]): void;
  /**
   * Makes the topics that are missing. To be called before anything is sent, and now and then.
   * @returns the tag of each topic: one that was deleted and made anew has another
   * @throws UnavailableError when that cannot be known now
   */
  look(): Promise<ReadonlyMap<string, number>>;
  /**
   * Writes events, in order for each partition. Called again only when it has ended.
   * @throws UnavailableError it is not known which of them were written
   */
  send(departures: readonly Departure[]): Promise<readonly Arrival[]>;
  /** Ends what goes on; what is asked after that is refused. */
  close(): Promise<void>;
}

/** The topics that events are sent to, as the store knows them. */
export interface TopicRegister {
  /**
   * Notes what is new. For the sake of topics that were made anew the relay is put out and goes back in the log, to the first
   * event on any of them that a consumer has not handled.
   * @param found the tags of the topics as they are now
   * @param topologies those that events are written to
   * @param member who has the relay
   * @throws MembershipLostError when it has it no more
   */
  settle(found: ReadonlyMap<string, number>, topologies: readonly Topology[], member: string): Promise<Settled>;
}

export interface Settled {
  /** By topic: up to there nothing is sent to it again. */
  readonly sent: ReadonlyMap<string, LogPosition>;
  /** Undefined when nothing was made anew since the topics were noted. */
  readonly remade: Remade | undefined;
}

export interface Remade {
  readonly topics: readonly string[];
  /** Where the relay goes on, and how far it had come. */
  readonly from: LogPosition;
  readonly until: LogPosition;
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
  readonly register: TopicRegister;
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
  /** The topics as they were when they were last looked at; undefined before, and then nothing is sent. */
  let noted: Noted | undefined;
  let lookDue = false;
  /** While events are sent again: up to where. */
  let again: LogPosition | undefined;
  let stopping = false;
  /** Why events cannot leave: it is said once. */
  let trouble: string | undefined;
  let lastDelayMs = 0;
  let wake: () => void = () => undefined;
  let finished: Promise<void> = Promise.resolve();
  let endBeats: () => void = () => undefined;
  /** While one batch is sent, the one before it is noted, and what comes after it is read. */
  let saved: Promise<void> = Promise.resolve();
  let reading: Promise<void> | undefined;

  const waitForWork = async (): Promise<void> => {
    if (stopping || consumer.pending > 0 || consumer.needsCare || lookDue) return;
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  };

  const step = async (): Promise<void> => {
    reading = consumer.readAhead?.();
    reading?.catch(() => undefined);
    if (reading === undefined && consumer.needsCare) {
      await saved;
      await consumer.maintain();
    }
    // Another has taken over, and knows how it is.
    if (consumer.owned.length === 0) trouble = again = undefined;
    else if (lookDue) await lookNow();
    lookDue = false;
    if (consumer.pending === 0) await reading;
    const taken = consumer.take(settings.maxBatch);
    if (taken !== undefined && taken.events.length > 0) await carry(taken.events, taken.progress);
    await reading;
    if (consumer.pending > 0) return;
    await saved;
    const progress = consumer.idleProgress();
    if (progress !== undefined) await save(progress, []);
  };

  const prepare = async (): Promise<void> => {
    topologies = await ports.topologies();
    noted = undefined;
    destination.prepare([
      ...new Map(topologies.flatMap(({ topics }) => topics.map((topic) => [topic.name, topic]))).values(),
    ]);
  };

  /** If it cannot be done now, the next heartbeat or the next event is as good. */
  const lookNow = async (): Promise<void> => {
    try {
      await look();
    } catch (error) {
      if (!(error instanceof UnavailableError)) throw error;
      log.debug({ error }, 'cannot look at the topics now');
    }
  };

  const look = async (): Promise<Noted> => {
    const tags = await destination.look();
    if (noted !== undefined && sameEntries(noted.tags, tags)) return noted;
    noted = undefined;
    await saved;
    const { remade, sent } = await ports.register.settle(tags, topologies, consumer.progress.member);
    if (remade !== undefined) goBack(remade);
    noted = { tags, sent };
    return noted;
  };

  const goBack = ({ topics, from, until }: Remade): never => {
    const events = distance(from, until);
    again = events === 0 ? undefined : until;
    log.warn(
      { topics, events },
      'topics were deleted and are made anew: what their consumers had not handled is sent to them again. Nothing needs to be done; find out who deleted them',
    );
    throw new MembershipLostError('the relay goes back to where the topics that were deleted need it');
  };

  const carry = async (events: readonly RecordedEvent[], progress: Progress): Promise<void> => {
    const arrivals = await send(events);
    const now = clock.now();
    await saved;
    saved = save(
      progress,
      arrivals.flatMap((arrival) => landingsOf(arrival, arrival.offset, arrival.events, now)),
    );
    saved.catch(() => undefined);
    lastDelayMs = clock.now() - events[0]!.time;
  };

  const send = async (events: readonly RecordedEvent[]): Promise<readonly Arrival[]> => {
    try {
      const { sent } = noted ?? (await look());
      const arrivals = await destination.send(events.flatMap((event) => departuresOf(topologies, sent, event)));
      if (trouble !== undefined)
        log.info({ topologies: topologies.map(({ name }) => name) }, 'events leave for Kafka again');
      trouble = undefined;
      return arrivals;
    } catch (cause) {
      if (cause instanceof MembershipLostError) throw cause;
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
    if (again === undefined || distance((progress.value as MemberProgress).cursor, again) > 0) return;
    log.info({}, 'what the consumers of deleted topics had not handled has been sent again');
    again = undefined;
  };

  const recover = async (cause: unknown): Promise<void> => {
    await Promise.allSettled([reading, saved]);
    saved = Promise.resolve();
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
      return trouble ?? (again && 'events are sent again to topics that were deleted');
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
        lookDue = true;
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
      await saved.catch(() => undefined);
      await consumer.stop().catch((error: Error) => log.warn({ error }, 'the relay could not leave its group'));
      await writer.close();
    },
    lag: () => consumer.lag(),
  };
}

interface Noted extends Pick<Settled, 'sent'> {
  readonly tags: ReadonlyMap<string, number>;
}

function sameEntries(one: ReadonlyMap<string, number>, other: ReadonlyMap<string, number>): boolean {
  return one.size === other.size && [...one].every(([name, value]) => other.get(name) === value);
}

function departuresOf(
  topologies: readonly Topology[],
  sent: ReadonlyMap<string, LogPosition>,
  event: RecordedEvent,
): readonly Departure[] {
  const places = placesOnAll(topologies, event);
  const due =
    sent.size === 0
      ? places
      : places.filter(({ topic }) => event.chainPosition > positionIn(sent.get(topic) ?? LOG_START, event.chain));
  return due.map((place) => ({ event, place }));
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
