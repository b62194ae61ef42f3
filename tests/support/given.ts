import assert from 'node:assert/strict';
import type { Decider, DecisionContext, NewEvent } from '#kernel/core/decider.ts';
import { payloadProblem } from './contracts.ts';

/** The time of decisions in unit tests, where they do not say another: 2026-11-22T10:00:00.000Z. */
export const NOW = Date.UTC(2026, 10, 22, 10);

/** What is expected of an event: its type, and those of its payload's fields that matter to the test. */
export interface ExpectedEvent {
  readonly type: string;
  readonly data?: object;
}

/** What a decider decided, to be compared. */
export interface Decided<State, Event> {
  readonly events: readonly Event[];
  /** The state after these events. */
  readonly state: State;
  /** Exactly these events, in this order. */
  thenEvents(...expected: readonly ExpectedEvent[]): void;
  thenNothing(): void;
  thenRefused(code: string): void;
}

/**
 * Given what happened in a stream, when a command comes, then these events follow, or this refusal:
 * `given(decider, events).when(command).thenEvents({ type: 'wallet.debited' })`. Every event must fit its schema.
 */
export function given<State, Command, Event extends NewEvent>(
  decider: Decider<State, Command, Event>,
  events: readonly Event[],
) {
  const state = events.reduce(decider.evolve, decider.initial);
  return {
    state,
    when(command: Command, context: Partial<DecisionContext> = {}): Decided<State, Event> {
      const result = decider.decide(command, state, { now: NOW, ...context });
      const decided = result.ok ? result.value : [];
      for (const event of decided) assert.equal(payloadProblem(event), undefined, event.type);
      return {
        events: decided,
        state: decided.reduce(decider.evolve, state),
        thenEvents(...expected) {
          assert.ok(result.ok, result.ok ? '' : `refused: ${result.refusal.code}: ${result.refusal.message}`);
          assert.deepEqual(
            decided.map(({ type }) => type),
            expected.map(({ type }) => type),
          );
          for (const [i, { data = {} }] of expected.entries()) {
            assert.partialDeepStrictEqual(decided[i]?.data, data, `${i}: ${expected[i]?.type}`);
          }
        },
        thenNothing() {
          assert.deepEqual(result, { ok: true, value: [] });
        },
        thenRefused(code) {
          assert.equal(result.ok ? 'accepted' : result.refusal.code, code);
        },
      };
    },
  };
}

/** What happens in a new stream when these commands come, one after another. */
export function historyOf<State, Command, Event extends NewEvent>(
  decider: Decider<State, Command, Event>,
  commands: readonly Command[],
): readonly Event[] {
  const events: Event[] = [];
  for (const command of commands) events.push(...given(decider, events).when(command).events);
  return events;
}
