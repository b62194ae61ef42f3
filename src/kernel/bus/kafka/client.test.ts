import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MultipleErrors, NetworkError, ProtocolError, TimeoutError } from '@platformatic/kafka';
import { unavailable } from './client.ts';

const CONNECTION = { brokers: ['one:9092', 'two:9092', 'three:9092'], clientId: 'test' };

const refusedBy = (broker: string) =>
  new NetworkError(`Connection to ${broker} failed.`, { cause: new Error(`connect ECONNREFUSED ${broker}`) });

test('one of three brokers that is down is named', () => {
  const { message } = unavailable(new MultipleErrors('Fetching failed.', [refusedBy('two:9092')]), CONNECTION);
  assert.match(message, /some are out of reach: two:9092 \(.*ECONNREFUSED two:9092\); look whether they run/);
});

test('brokers that are all down, or say nothing, may be others than are meant', () => {
  const all = new MultipleErrors('Fetching failed.', CONNECTION.brokers.map(refusedBy));
  for (const cause of [all, new NetworkError('Connection closed')])
    assert.match(
      unavailable(cause, CONNECTION).message,
      /out of reach at one:9092,two:9092,three:9092 .*KAFKA_BROKERS/,
    );
});

test('too few copies, a broker that does not answer, and what passes by itself say what to look at', () => {
  const messageOf = (cause: Error) => unavailable(new MultipleErrors('It failed.', [cause]), CONNECTION).message;
  assert.match(messageOf(new ProtocolError('NOT_ENOUGH_REPLICAS')), /too few brokers .*which of them are down/);
  assert.match(messageOf(new TimeoutError('Request timed out')), /does not answer .*look whether all of one:9092/);
  assert.match(messageOf(new ProtocolError('NOT_LEADER_OR_FOLLOWER')), /passes within seconds; if it does not/);
  assert.match(messageOf(new ProtocolError('REBALANCE_IN_PROGRESS')), /passes within seconds/);
});
