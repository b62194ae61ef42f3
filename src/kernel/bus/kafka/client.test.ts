import assert from 'node:assert/strict';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { Admin, MultipleErrors, NetworkError, ProtocolError, TimeoutError } from '@platformatic/kafka';
import { openClient, unavailable } from './client.ts';

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

test('a broker that takes connections and never answers is asked once; then all clients ask another first', async (t) => {
  const [hanging, other] = await Promise.all([listen(t, () => undefined), listen(t, (socket) => socket.destroy())]);
  const connection = { brokers: [hanging.address, other.address], clientId: 'test' };
  const ask = async () => {
    const admin = openClient(connection, (options) => new Admin({ ...options, requestTimeout: 200 }));
    await assert.rejects(admin.metadata({ topics: ['any'] }));
    await admin.close();
  };
  await ask();
  assert.deepEqual([hanging.connections, other.connections], [1, 0]);
  await ask();
  assert.deepEqual([hanging.connections, other.connections], [1, 1]);
});

/** Something that takes connections. */
async function listen(t: TestContext, onConnection: (socket: Socket) => void) {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    onConnection(socket);
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return {
    address: `127.0.0.1:${port}`,
    get connections() {
      return sockets.length;
    },
  };
}
