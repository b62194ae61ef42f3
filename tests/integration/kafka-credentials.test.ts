import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { createLog } from '#kernel/observability/log.ts';
import { readConfig } from '#src/config.ts';
import { startPlatform } from '#src/main.ts';
import { type Api, apiAt } from '../support/api.ts';
import { makeCertificate } from '../support/certificate.ts';
import { onEnd } from '../support/cleanup.ts';
import { temporaryDataFolder } from '../support/data-folder.ts';
import { cacheDir, openKafka } from '../support/kafka.ts';
import { finalPayment, walletWith } from '../support/money.ts';
import { createDatabase } from '../support/postgres.ts';
import { runProgram } from '../support/program.ts';
import { until } from '../support/until.ts';

const USER = 'caudal';
const PASSWORD = 'the-right-password';
const SCRAM = ['SCRAM-SHA-256', 'SCRAM-SHA-512'];

type Settings = Readonly<Record<string, string>>;

interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly error?: { readonly message: string };
}

/** A platform in this process, and what it logs. */
async function runPlatform(env: Settings) {
  const lines: string[] = [];
  const log = createLog('info', { write: (line) => void lines.push(line) });
  const platform = await startPlatform(readConfig(env), log);
  return {
    api: apiAt(platform.url),
    stop: () => platform.stop(),
    text: () => lines.join(''),
    lines: (): readonly LogLine[] => lines.map((line) => JSON.parse(line)),
  };
}

/** Gives the brokers a user of their own kind, by Kafka's tool. */
async function addScramUser(bootstrap: string, folder: string, trusted: string): Promise<void> {
  const settings = join(folder, 'client.properties');
  const login = `org.apache.kafka.common.security.plain.PlainLoginModule required username="${USER}" password="${PASSWORD}";`;
  const lines = [
    'security.protocol=SASL_SSL',
    'sasl.mechanism=PLAIN',
    `sasl.jaas.config=${login}`,
    'ssl.truststore.type=PEM',
    `ssl.truststore.location=${trusted}`,
  ];
  await writeFile(settings, lines.join('\n'));
  const entity = ['--entity-type', 'users', '--entity-name', USER];
  for (const mechanism of SCRAM) {
    const args = ['--command-config', settings, '--alter', '--add-config', `${mechanism}=[password=${PASSWORD}]`];
    const run = await runProgram(['kafka', 'tool', 'configs', '--bootstrap-server', bootstrap, ...args, ...entity], {
      CAUDAL_CACHE: cacheDir,
    });
    assert.equal(run.code, 0, run.stderr + run.stdout);
  }
}

async function openGuarded(t: TestContext) {
  const tls = await makeCertificate(t);
  const { bootstrap } = await openKafka(t, { sasl: { username: USER, password: PASSWORD }, tls });
  await addScramUser(bootstrap[0]!, dirname(tls.trusted), tls.trusted);
  const data = await temporaryDataFolder();
  onEnd(t, () => rm(data, { recursive: true }));
  const right: Settings = {
    CAUDAL_DATA: data,
    DATABASE_URL: await createDatabase(),
    PORT: '0',
    SIMULATOR_PORT: '0',
    KAFKA_BROKERS: bootstrap.join(),
    KAFKA_REPLICATION: '1',
    KAFKA_SESSION_TIMEOUT_MS: '6000',
    KAFKA_HEARTBEAT_MS: '1000',
    KAFKA_TLS: tls.trusted,
    KAFKA_SASL_MECHANISM: 'PLAIN',
    KAFKA_SASL_USERNAME: USER,
    KAFKA_SASL_PASSWORD: PASSWORD,
  };
  return { right, other: await makeCertificate(t) };
}

async function payBy(api: Api, user: string): Promise<string> {
  const payment = { amount: '1.00', currency: 'USD', method: 'wallet', customer_id: user };
  const { status, body, text } = await api.post('/payments', payment);
  assert.equal(status, 201, text);
  return body.id;
}

test('brokers that want TLS and a login get both, and what is wrong with them is in the log while payments wait', async (t) => {
  const { right, other } = await openGuarded(t);
  const { KAFKA_SASL_MECHANISM: _mechanism, ...withoutLogin } = right;
  const wrong: readonly (readonly [string, Settings, RegExp])[] = [
    [
      'a wrong password',
      { ...right, KAFKA_SASL_PASSWORD: 'a-wrong-password' },
      /refuses the credentials; see KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD/,
    ],
    ['no TLS', { ...right, KAFKA_TLS: 'off' }, /and KAFKA_TLS if the brokers want it/],
    ['another authority', { ...right, KAFKA_TLS: other.trusted }, /certificate that is not trusted .+; see KAFKA_TLS/],
    ['no authority', { ...right, KAFKA_TLS: 'on' }, /certificate that is not trusted .+; see KAFKA_TLS/],
    ['no login', withoutLogin, /and KAFKA_SASL_MECHANISM if the brokers want it/],
    ['neither', { ...withoutLogin, KAFKA_TLS: 'off' }, /wants TLS; see KAFKA_TLS/],
  ];

  const first = await runPlatform(right);
  const user = await walletWith(first.api, '100.00');
  const ids = [await payBy(first.api, user)];
  assert.equal((await finalPayment(first.api, ids[0]!)).status, 'APPROVED');
  await first.stop();

  for (const [what, settings, message] of wrong) {
    const platform = await runPlatform(settings);
    ids.push(await payBy(platform.api, user));
    const warning = () =>
      platform.lines().find((line) => line.message === 'events wait in the log until they can leave for Kafka');
    await until(`the log says why events cannot leave: ${what}`, () => warning() !== undefined);
    assert.match(warning()!.error!.message, message, what);
    assert.equal((await platform.api.get(`/payments/${ids.at(-1)}`)).body.status, 'PENDING', what);
    await platform.stop();
    assert.doesNotMatch(platform.text(), new RegExp(`${PASSWORD}|a-wrong-password`));
  }

  for (const KAFKA_SASL_MECHANISM of SCRAM) {
    const platform = await runPlatform({ ...right, KAFKA_SASL_MECHANISM });
    ids.push(await payBy(platform.api, user));
    for (const id of ids) assert.equal((await finalPayment(platform.api, id)).status, 'APPROVED');
    await platform.stop();
  }
});
