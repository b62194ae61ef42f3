import { test } from 'node:test';
import { append, newStream, openWriter, pending } from '../../support/appending.ts';
import { type Backend, describeBackends } from '../../support/backends.ts';
import { startToyFollower, startToyProcess } from '../../support/toy-process.ts';
import { added } from '../../support/toy-service.ts';
import { COUNTERS } from '../../support/toy-tables.ts';
import { additionsMade, checkExactlyOnce, openToyClient } from '../../support/toy-work.ts';
import { until } from '../../support/until.ts';

/** Takes every member for dead, as others do with a process that could not say in time that it lives. */
async function putOut(backend: Backend, consumer: string): Promise<void> {
  await backend.groups.heartbeat(consumer, 'a member that lives', -1);
}

describeBackends('a member that is put out of its group', (open) => {
  test('joins again and goes on where it stood', async (t) => {
    const backend = await open(t);
    const toy = await startToyProcess(t, backend);
    const client = await openToyClient(t, backend, [toy]);
    for (let n = 1; n < 6; n++) {
      await client.ask(...Array.from({ length: 20 }, () => ({ counter_id: newStream().id, n })));
      await putOut(backend, 'counters');
    }
    await additionsMade(backend.store, 100);
    await checkExactlyOnce(backend.store);
  });

  test('joins again also when it owned nothing, and takes over when the owner ends', async (t) => {
    const backend = await open(t);
    const owner = await startToyFollower(t, backend);
    const standby = await startToyFollower(t, backend);
    await putOut(backend, 'counters-projections');
    await owner.follower.stop();
    const stream = newStream();
    const writer = await openWriter(t, backend.store, 'adder');
    const event = pending({ counter_id: stream.id, n: 7, total: 7 }, added.type);
    await writer.commit({ appends: [append(stream, 0, event)] });
    await until('the other has followed', async () => {
      standby.tail.wake();
      return (await backend.store.loadRows(COUNTERS, [[stream.id]])).length === 1;
    });
  });
});
