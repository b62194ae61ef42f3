import type { Decider, NewEvent } from '#kernel/core/decider.ts';
import { type RecordedEvent, traceparentFor } from '#kernel/core/event.ts';
import { namedUuid } from '#kernel/core/ids.ts';
import type { Result } from '#kernel/core/result.ts';
import { accept } from '#kernel/core/result.ts';
import type { Reaction } from '#kernel/processor/service.ts';
import { payloadProblem } from '../../support/contracts.ts';

interface Stream {
  readonly decider: Decider;
  readonly events: RecordedEvent[];
  state: unknown;
}

/** The streams of some deciders in memory, on one log and in virtual time. */
export interface Domain {
  readonly log: readonly RecordedEvent[];
  /** Milliseconds since 1970. */
  now(): number;
  pass(ms: number): void;
  /** Decides a command. Its events stand in the log afterwards; each fits its schema. */
  tell(target: Reaction): Result<readonly RecordedEvent[]>;
  stateOf<State>(aggregate: string, id: string): State;
}

/** @param start milliseconds since 1970 */
export function createDomain(deciders: readonly Decider[], start: number): Domain {
  const streams = new Map<string, Stream>();
  const log: RecordedEvent[] = [];
  let now = start;

  function streamOf(aggregate: string, id: string): Stream {
    const name = `${aggregate}/${id}`;
    const decider = deciders.find((candidate) => candidate.aggregate === aggregate);
    if (decider === undefined) throw new Error(`there is no decider of ${aggregate}`);
    const stream = streams.get(name) ?? { decider, state: decider.initial, events: [] };
    streams.set(name, stream);
    return stream;
  }

  function append(stream: Stream, { aggregate, id }: Reaction, { type, data }: NewEvent): RecordedEvent {
    const problem = payloadProblem({ type, data });
    if (problem !== undefined) throw new Error(`${type}: ${problem}`);
    const streamPosition = stream.events.length + 1;
    const eventId = namedUuid(aggregate, id, String(streamPosition));
    const metadata = { correlationid: id, traceparent: traceparentFor('a'.repeat(32), eventId) };
    const place = {
      aggregateType: aggregate,
      aggregateId: id,
      streamPosition,
      chain: 1,
      chainPosition: log.length + 1,
    };
    const event: RecordedEvent = { id: eventId, type, version: 1, ...place, time: now, data, metadata };
    stream.state = stream.decider.evolve(stream.state, event);
    stream.events.push(event);
    log.push(event);
    return event;
  }

  return {
    log,
    now: () => now,
    pass: (ms) => {
      now += ms;
    },
    tell: (target) => {
      const stream = streamOf(target.aggregate, target.id);
      const { repeated = false, isAnswer } = target.lookBack ?? {};
      const answered = repeated && isAnswer !== undefined && stream.events.some(isAnswer);
      const result = stream.decider.decide(target.command, stream.state, { now, answered });
      return result.ok ? accept(result.value.map((event) => append(stream, target, event))) : result;
    },
    stateOf: <State>(aggregate: string, id: string) => streamOf(aggregate, id).state as State,
  };
}
