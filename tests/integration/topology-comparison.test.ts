import assert from 'node:assert/strict';
import { test } from 'node:test';
import { byFlow } from '#src/topologies/by-flow.ts';
import { openKafka } from '../support/kafka.ts';
import { forgetBefore, messagesOn, type SeenMessage, topicsOf, writeStrange } from '../support/kafka-topic.ts';
import { openMigrating, startPaying } from '../support/migrating.ts';
import { finalPayment, walletWith } from '../support/money.ts';
import { runProgram } from '../support/program.ts';
import { until } from '../support/until.ts';

const WALLETS = 'events.payments.wallet.v1';
const SINGLE = 'events.payments.v1';

test('two topologies that differ are not moved between, and what differs is named', async (t) => {
  const { bootstrap } = await openKafka(t);
  const { env, platform, migration } = await openMigrating(t, bootstrap);
  const steps: string[] = [];
  const whole = migration((message) => void steps.push(message));
  const caudal = (...args: readonly string[]) =>
    runProgram(['topology', ...args], { ...env, PATH: process.env.PATH ?? '' });
  const user = await walletWith(platform, '1000.00');
  const payMore = async (): Promise<void> => {
    const paying = startPaying(platform, [user]);
    await paying.goOn();
    await paying.stop();
    for (const id of paying.ids) await finalPayment(platform, id);
    await until('the relay has carried all', async () => (await whole.status()).relay_waiting === 0);
  };
  const again = ({ partition, key, headers }: SeenMessage, value: Buffer) =>
    writeStrange(bootstrap, { topic: WALLETS, partition, value, headers, ...(key !== undefined && { key }) });

  assert.match((await caudal('compare')).stderr, /^caudal: there is no migration: the store is on single$/m);
  // Both are written, and nothing is compared yet.
  const begun = migration((message) => {
    if (message.startsWith('every event goes')) throw new Error('the operator goes for lunch');
  });
  await assert.rejects(begun.forward(byFlow), /the operator goes for lunch/);
  await payMore();
  const first = (await whole.compare())!;
  assert.deepEqual([first.differences, first.left_out, first.foreign], [0, 0, 0]);
  assert.ok(first.events >= 100, `${first.events} events`);
  assert.ok(first.keys > 10, `${first.keys} keys`);

  const [message] = await messagesOn(bootstrap, WALLETS);
  await again(message!, message!.value);
  await assert.rejects(whole.forward(byFlow), (error: Error) => {
    assert.match(
      error.message,
      /^the topics of single and by-flow differ in 1 place, first key .+: nothing was moved\./,
    );
    assert.ok(error.message.includes(`surplus: ${message!.headers.ce_id}`), error.message);
    return true;
  });
  const status = await whole.status();
  assert.deepEqual(new Set(status.consumers.map(({ topology }) => topology)), new Set(['single']));
  assert.equal(status.compared!.differences, 1);

  const found = await caudal('compare', '--json');
  assert.equal(found.code, 1, found.stderr);
  const { kind, topic, partition, key, before, after, events } = JSON.parse(found.stdout).examples[0];
  assert.deepEqual([kind, topic, partition, key], ['surplus', WALLETS, message!.partition, message!.key]);
  assert.deepEqual([after - before, events], [1, [message!.headers.ce_id]]);
  assert.equal((await caudal('migrate', 'by-flow')).code, 1);
  assert.match((await caudal('migrate')).stdout, new RegExp(`surplus +${WALLETS}/${partition} +${key} +`));

  assert.match((await caudal('compare', '--accept')).stdout, /^differences +1, accepted$/m);
  assert.equal((await whole.compare())!.differences, 0);
  await again(message!, Buffer.from('{"amount": 1000000}'));
  const altered = (await whole.compare())!;
  assert.deepEqual(
    altered.examples.map((example) => [example.key, example.events]),
    [[message!.key, [message!.headers.ce_id]]],
  );
  await whole.accept();

  await payMore();
  const last = (await messagesOn(bootstrap, WALLETS)).at(-1)!;
  await forgetBefore(bootstrap, { topic: WALLETS, partition: last.partition, offset: last.offset + 1 });
  const missing = (await whole.compare())!;
  assert.ok(missing.differences > 0);
  assert.deepEqual(new Set(missing.examples.map((example) => example.kind)), new Set(['missing']));
  await assert.rejects(whole.forward(byFlow), /missing: /);

  // The way back is open, and the next way there begins anew.
  await whole.back();
  await payMore();
  await whole.forward(byFlow);
  assert.ok(steps.includes('nothing new has come to the topics of single and by-flow: nothing was compared'));
  await payMore();
  assert.ok((await topicsOf(bootstrap)).includes(SINGLE));
  const retired = await caudal('migrate', '--retire', '--delete-topics', '--json');
  assert.equal(retired.code, 0, retired.stderr);
  assert.match(retired.stderr, /^the topics of single and by-flow hold the same: [1-9]\d* events of [1-9]\d* keys/m);
  assert.match(retired.stderr, new RegExp(`^deleted: ${SINGLE}$`, 'm'));
  await until('the topic is gone', async () => !(await topicsOf(bootstrap)).includes(SINGLE));
  const left = await topicsOf(bootstrap);
  assert.ok(left.includes(WALLETS) && left.includes('events.dlq.v1'), left.join());
  const { current, consumers, compared } = JSON.parse(retired.stdout);
  assert.deepEqual([current, compared.differences], ['by-flow', 0]);
  assert.ok(consumers.every(({ topology }: { topology: string }) => topology === 'by-flow'));
  await payMore();
  assert.ok(!(await topicsOf(bootstrap)).includes(SINGLE));
});

test('where the log itself is the bus, there is nothing to compare, and it says so', async (t) => {
  const { env, migration } = await openMigrating(t, undefined);
  const steps: string[] = [];
  const whole = migration((message) => void steps.push(message));
  await whole.forward(byFlow);
  assert.ok(steps.includes('nothing to compare: the log itself is the bus, and both read it'));
  const { code, stdout } = await runProgram(['topology', 'compare'], { ...env, PATH: process.env.PATH ?? '' });
  assert.deepEqual(
    [code, stdout],
    [0, 'There is nothing to compare: the log itself is the bus, and both topologies read it.\n'],
  );
  await assert.rejects(whole.deleteTopics(), /there are no topics to delete/);
});
