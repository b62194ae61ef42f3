import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lookBack } from '#kernel/processor/look-back.ts';
import { append, newStream, openWriter, pending } from '../../support/appending.ts';
import { describeBackends } from '../../support/backends.ts';

const HOUR_MS = 3_600_000;

describeBackends('the answer to an earlier request', (open) => {
  test('is found whatever the clocks of the machines say', async (t) => {
    const { store, clock } = await open(t);
    const writer = await openWriter(t, store);
    const [asking, asked] = [newStream('request'), newStream('counter')];
    const now = clock.now();
    const ask = (time: number) => pending({}, 'asked', time);
    const answer = (data: object, time: number) => pending(data, 'answered', time);
    await writer.commit({ appends: [append(asked, 0, answer({ to: 'another' }, now))] });
    await writer.commit({ appends: [append(asking, 0, ask(now + HOUR_MS))] });
    await writer.commit({
      appends: [append(asked, 1, answer({ to: 'this' }, now), answer({ to: 'a later' }, now - HOUR_MS))],
    });
    const { events } = await writer.commit({ appends: [append(asking, 1, ask(now))] });

    const search = (to: string, repeated = true, known: [string, boolean][] = []) => {
      const isAnswer = (event: { readonly data: { readonly to?: string } }) => event.data.to === to;
      const found = {
        key: to,
        repeated,
        isRequest: (event: { readonly type: string }) => event.type === 'asked',
        isAnswer,
      };
      const reaction = { aggregate: asked.type, id: asked.id, command: {}, lookBack: found };
      const item = { kind: 'message', event: events[0]! } as const;
      return lookBack([{ item, reactions: [reaction] }], store, { known: new Map(known) }).then((all) =>
        all.has(reaction),
      );
    };
    assert.equal(await search('this'), true);
    assert.equal(await search('another'), false, 'what stands before the first request is no answer to it');
    assert.equal(await search('this', false), false, 'a first request does not look back');
    assert.equal(await search('this', true, [['this', false]]), false, 'what is known is not searched for');
    assert.equal(await search('another', true, [['another', true]]), true);
  });
});
