import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { RecordedEvent } from '../../core/event.ts';
import { uuidFloor } from '../../core/ids.ts';
import { type LogPosition, positionIn } from '../../core/log-position.ts';
import { inOrder, joinLogs, marked, type ReadableLog, unmarked } from './joined-log.ts';

const NOW = 1_000_000;

/** An event with an id of its own time. */
function event(chain: number, position: number, time: number, cause?: RecordedEvent): RecordedEvent {
  const id = `${uuidFloor(time).slice(0, 24)}${chain}${String(position).padStart(11, '0')}`;
  const metadata = { correlationid: 'c', traceparent: 't', ...(cause !== undefined && { causationid: cause.id }) };
  const stream = { aggregateType: 'a', aggregateId: `${chain}`, streamPosition: position };
  return {
    id,
    type: 't',
    version: 1,
    time,
    chain,
    chainPosition: position,
    ...stream,
    data: {},
    metadata,
  } as RecordedEvent;
}

/** A log in memory, in the order that it is given in. */
function logOf(events: readonly RecordedEvent[], readable: () => number = () => events.length): ReadableLog {
  const present = () => events.slice(0, readable());
  return {
    head: async () => Object.fromEntries(present().map(({ chain, chainPosition }) => [chain, chainPosition])),
    readLog: async (after, { limit }) => {
      const rest = present().filter(({ chain, chainPosition }) => chainPosition > positionIn(after, chain));
      const page = rest.slice(0, limit);
      const next: Record<number, number> = { ...after };
      for (const { chain, chainPosition } of page) next[chain] = chainPosition;
      return { events: page, next, atEnd: rest.length <= limit };
    },
    check: ({ chain }) => `chain ${chain}`,
  };
}

describe('several logs as one', () => {
  test('a mark tells chains of different logs apart, and can be taken off', () => {
    const own = event(3, 1, NOW);
    assert.deepEqual(unmarked(marked(own, 4)), { event: own, part: 4 });
    assert.deepEqual(unmarked(marked(own, 0)), { event: own, part: 0 });
    assert.notEqual(marked(own, 1).chain, marked(own, 2).chain);
  });

  test('an effect waits for its cause, whatever the clocks say', () => {
    const cause = event(1, 1, NOW + 500);
    const effect = event(2, 1, NOW, cause);
    const pages = [
      { events: [effect], atEnd: true },
      { events: [cause], atEnd: true },
    ];
    const { order, counts } = inOrder(pages, () => false, 10, NOW + 1000);
    assert.deepEqual(
      [order.map((each) => each.event), counts],
      [
        [cause, effect],
        [1, 1],
      ],
    );
  });

  test('what may be the effect of something that was not read yet is left for the next page', () => {
    const cause = event(1, 9, NOW);
    const effect = event(2, 1, NOW + 5, cause);
    const wait = (readAt: number) => {
      const pages = [
        { events: [effect], atEnd: true },
        { events: [], atEnd: true },
      ];
      return inOrder(pages, () => false, 10, readAt).order.length;
    };
    assert.deepEqual([wait(NOW + 10), wait(NOW + 60_000)], [0, 1]);
  });

  test('page by page: every event once, in the order of its log, and no effect before its cause', async () => {
    const steps = fc.array(
      fc.record({ part: fc.nat(2), chain: fc.nat(1), skew: fc.integer({ min: -2000, max: 2000 }), cause: fc.nat(40) }),
      { maxLength: 60 },
    );
    await fc.assert(
      fc.asyncProperty(steps, fc.integer({ min: 1, max: 7 }), async (made, limit) => {
        const logs: RecordedEvent[][] = [[], [], []];
        const all: { part: number; event: RecordedEvent }[] = [];
        for (const [i, { part, chain, skew, cause }] of made.entries()) {
          const position = logs[part]!.filter((one) => one.chain === chain).length + 1;
          const before = all.at(-1 - cause)?.event;
          // Unlike the log's order, times are only roughly right; each id is one of its own.
          const next = event(chain, position, NOW + i * 100 + skew, before);
          const named = { ...next, id: `${next.id.slice(0, 19)}${part}${next.id.slice(20)}` };
          logs[part]!.push(named);
          all.push({ part, event: named });
        }
        const joined = joinLogs(
          logs.map((events, number) => ({ number, log: logOf(events) })),
          { now: () => NOW + 3_600_000 },
        );
        const seen: RecordedEvent[] = [];
        let position: LogPosition = {};
        for (let atEnd = false; !atEnd; ) {
          const page = await joined.readLog(position, { limit });
          seen.push(...page.events);
          position = page.next;
          atEnd = page.atEnd && page.events.length === 0;
        }
        assert.equal(seen.length, all.length);
        assert.deepEqual(position, await joined.head());
        const places = new Map(seen.map(({ id }, i) => [id, i]));
        for (const [part, events] of logs.entries()) {
          const own = seen.map(unmarked).filter((one) => one.part === part);
          assert.deepEqual(
            own.map((one) => one.event),
            events,
          );
        }
        for (const { id, metadata } of seen)
          if (metadata.causationid !== undefined) assert.ok(places.get(metadata.causationid)! < places.get(id)!);
        for (const one of seen) assert.equal(joined.check(one), `chain ${unmarked(one).event.chain}`);
      }),
    );
  });

  test('what is committed to one log while another is read comes in its order too', async () => {
    const first = event(1, 1, NOW);
    const second = event(1, 1, NOW + 1, first);
    let ready = 0;
    const joined = joinLogs(
      [
        { number: 0, log: logOf([first], () => ready) },
        { number: 1, log: logOf([second]) },
      ],
      { now: () => NOW + 50 },
    );
    const early = await joined.readLog({}, { limit: 10 });
    assert.deepEqual([early.events, early.atEnd], [[], true]);
    ready = 1;
    const late = await joined.readLog(early.next, { limit: 10 });
    assert.deepEqual(
      late.events.map((one) => unmarked(one).part),
      [0, 1],
    );
  });
});
