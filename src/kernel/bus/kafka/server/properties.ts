export const HOST = '127.0.0.1';
const SCRAM = ['SCRAM-SHA-256', 'SCRAM-SHA-512'];
const RETENTION_HOURS = 7 * 24;
/** Kafka's default of 50 makes the first consumer of a new cluster wait for as many files, on each broker. */
const OFFSETS_PARTITIONS = 12;
/**
 * Until a broker that was killed is taken for dead, nobody takes over from it, and it cannot come back either. Kafka's default is
 * 9 s, for networks between machines.
 */
const SESSION_TIMEOUT_MS = 4_000;
const HEARTBEAT_MS = 500;

/** A broker of a cluster. Its number in the cluster starts at 1; its ports are on 127.0.0.1. */
export interface BrokerPlace {
  readonly id: number;
  readonly port: number;
  readonly controllerPort: number;
}

/** What clients must log in with. */
export interface Sasl {
  readonly username: string;
  readonly password: string;
}

/** What brokers show to clients over TLS. */
export interface ServerTls {
  /** A file in PKCS#12 with the key and the certificate of the broker, and what it is locked with. */
  readonly keyStore: string;
  readonly password: string;
  /** A PEM file with the certificates that the brokers trust when they speak to each other. */
  readonly trusted: string;
}

/** What the settings of one broker depend on. */
export interface BrokerSettings {
  readonly broker: BrokerPlace;
  /** All of the cluster, this one too. */
  readonly brokers: readonly BrokerPlace[];
  /** Where it keeps its data. */
  readonly logDir: string;
  readonly sasl: Sasl | undefined;
  readonly tls: ServerTls | undefined;
}

/**
 * The text of a broker's server.properties: broker and controller in one process, reached from this machine only. What three
 * brokers keep survives the loss of one of them.
 */
export function serverProperties({ broker, brokers, logDir, sasl, tls }: BrokerSettings): string {
  const listeners = `CLIENT://${HOST}:${broker.port},CONTROLLER://${HOST}:${broker.controllerPort}`;
  const copies = String(brokers.length);
  const minCopies = String(Math.ceil(brokers.length / 2));
  const settings: Record<string, string> = {
    'process.roles': 'broker,controller',
    'node.id': String(broker.id),
    'controller.quorum.voters': brokers.map(({ id, controllerPort }) => `${id}@${HOST}:${controllerPort}`).join(','),
    listeners,
    'advertised.listeners': `CLIENT://${HOST}:${broker.port}`,
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'CLIENT',
    'listener.security.protocol.map': `CLIENT:${protocolOf(sasl, tls)},CONTROLLER:PLAINTEXT`,
    ...(sasl !== undefined && saslSettings(sasl)),
    ...(tls !== undefined && tlsSettings(tls)),
    'log.dirs': logDir,

    'auto.create.topics.enable': 'false',
    'delete.topic.enable': 'true',
    'log.retention.hours': String(RETENTION_HOURS),
    'default.replication.factor': copies,
    'min.insync.replicas': minCopies,
    'offsets.topic.num.partitions': String(OFFSETS_PARTITIONS),
    'offsets.topic.replication.factor': copies,
    'transaction.state.log.num.partitions': String(OFFSETS_PARTITIONS),
    'transaction.state.log.replication.factor': copies,
    'transaction.state.log.min.isr': minCopies,
    'share.coordinator.state.topic.replication.factor': copies,
    'share.coordinator.state.topic.min.isr': minCopies,
    'broker.session.timeout.ms': String(SESSION_TIMEOUT_MS),
    'broker.heartbeat.interval.ms': String(HEARTBEAT_MS),
    // Waiting for more members to join pays where many start at once; here it is 3 s of nothing.
    'group.initial.rebalance.delay.ms': '0',
  };
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${escaped(value)}\n`)
    .join('');
}

function protocolOf(sasl: Sasl | undefined, tls: ServerTls | undefined): string {
  if (tls === undefined) return sasl === undefined ? 'PLAINTEXT' : 'SASL_PLAINTEXT';
  return sasl === undefined ? 'SSL' : 'SASL_SSL';
}

function tlsSettings({ keyStore, password, trusted }: ServerTls): Record<string, string> {
  return {
    'ssl.keystore.type': 'PKCS12',
    'ssl.keystore.location': keyStore,
    'ssl.keystore.password': password,
    'ssl.truststore.type': 'PEM',
    'ssl.truststore.location': trusted,
  };
}

function saslSettings({ username, password }: Sasl): Record<string, string> {
  if (![username, password].every((text) => /^[\w.-]+$/.test(text))) {
    throw new Error('A user of the test broker and its password have letters, digits, ".", "_" and "-" only');
  }
  const login = 'org.apache.kafka.common.security.plain.PlainLoginModule required';
  return {
    'sasl.enabled.mechanisms': ['PLAIN', ...SCRAM].join(','),
    'sasl.mechanism.inter.broker.protocol': 'PLAIN',
    'listener.name.client.plain.sasl.jaas.config': `${login} username="${username}" password="${password}" user_${username}="${password}";`,
    // Who may log in so is told to the brokers while they run.
    ...Object.fromEntries(
      SCRAM.map((mechanism) => [
        `listener.name.client.${mechanism.toLowerCase()}.sasl.jaas.config`,
        'org.apache.kafka.common.security.scram.ScramLoginModule required;',
      ]),
    ),
  };
}

/** As Java reads a properties file: a backslash begins an escape, and what is not Latin-1 is written as one. */
function escaped(value: string): string {
  return value
    .replaceAll('\\', '\\\\')
    .replace(/[^\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
