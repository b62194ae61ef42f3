import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import {
  AuthenticationError,
  type Base,
  type BaseOptions,
  type Broker,
  type Connection,
  kGetBootstrapConnection,
  MultipleErrors,
  NetworkError,
  ProtocolError,
  parseBroker,
  TimeoutError,
} from '@platformatic/kafka';
import { toError, UnavailableError } from '../../core/errors.ts';

/** How the brokers are reached. */
export interface KafkaConnection {
  /** `host:port` of some of the brokers; the others are learnt from them. */
  readonly brokers: readonly string[];
  /** Names this process in the brokers' logs and in the consumer groups. */
  readonly clientId: string;
  readonly sasl?: {
    readonly mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512';
    readonly username: string;
    readonly password: string;
  };
  readonly tls?: ConnectionOptions;
}

const CONNECT_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;

/** When a connection to a broker was lost last, by the broker: what one client learns the others need not wait for. */
const lossesOf = new WeakMap<KafkaConnection, Map<string, number>>();

/**
 * A client of the brokers. What any broker can answer it asks the one to which no connection was lost for the longest time. The library
 * asks the first of its list, again and again: one that hangs, and still takes connections, would cost every question the whole time
 * limit of a request.
 * @param make with the options that all clients have in common; they do not try again by themselves: whoever uses one knows what to do
 */
export function openClient<Client extends Base>(
  connection: KafkaConnection,
  make: (options: BaseOptions) => Client,
): Client {
  const client = make(clientOptions(connection));
  const losses = lossesOf.get(connection) ?? new Map<string, number>();
  lossesOf.set(connection, losses);
  const noteLoss = (broker: Broker): unknown => losses.set(addressOf(broker), performance.now());
  client.on('client:broker:failed', ({ broker }: { readonly broker: Broker }) => noteLoss(broker));
  client.on('client:broker:connect', ({ broker, connection: opened }: Opened) => {
    let closedByUs = false;
    opened.once('closing', () => {
      closedByUs = true;
    });
    opened.once('close', () => closedByUs || noteLoss(broker));
  });
  const lastLoss = (broker: Broker): number => losses.get(addressOf(broker)) ?? 0;
  const first = connection.brokers.map((address) => parseBroker(address));
  client[kGetBootstrapConnection] = (callback) => {
    const discovered = client.currentMetadata?.brokers.values() ?? [];
    const known = new Map([...first, ...discovered].map((broker) => [addressOf(broker), broker]));
    const byLoss = [...known.values()].sort((one, other) => lastLoss(one) - lastLoss(other));
    client.connections.getFirstAvailable(byLoss, callback);
  };
  return client;
}

/** A client that is opened when it is asked for, and another one when it has failed. */
export interface Renewable<Client> {
  /** @throws UnavailableError when it was closed: what is opened after that would keep the process alive */
  get(): Client;
  /** The next one will be another. */
  drop(): Promise<void>;
  close(): Promise<void>;
}

/**
 * @param make see `openClient`
 * @param end closes it, whatever it is about to do
 */
export function createRenewable<Client extends Base>(
  connection: KafkaConnection,
  make: (options: BaseOptions) => Client,
  end: (client: Client) => Promise<void>,
): Renewable<Client> {
  let client: Client | undefined;
  let closed = false;
  const drop = async (): Promise<void> => {
    const dropped = client;
    client = undefined;
    if (dropped !== undefined) await end(dropped).catch(() => undefined);
  };
  return {
    get: () => {
      if (closed) throw new UnavailableError('this process has ended its connections to Kafka');
      client ??= openClient(connection, make);
      return client;
    },
    drop,
    close: async () => {
      closed = true;
      await drop();
    },
  };
}

interface Opened {
  readonly broker: Broker;
  readonly connection: Connection;
}

function addressOf({ host, port }: Broker): string {
  return `${host}:${port}`;
}

function clientOptions({ brokers, clientId, sasl, tls }: KafkaConnection): BaseOptions {
  return {
    clientId,
    bootstrapBrokers: [...brokers],
    connectTimeout: CONNECT_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    timeout: REQUEST_TIMEOUT_MS,
    retries: 0,
    ...(sasl !== undefined && { sasl }),
    // Whoever serves several clusters behind one address has to be told by name which is meant; an address is no name.
    ...(tls !== undefined && { tls, tlsServerName: brokers.every((broker) => isIP(hostOf(broker)) === 0) }),
  };
}

function hostOf(broker: string): string {
  return broker.slice(0, broker.lastIndexOf(':')).replace(/^\[(.*)\]$/, '$1');
}

const NOT_TRUSTED = /CERT|SELF_SIGNED|UNABLE_TO_/;
const WANTS_TLS = /requires TLS/;
const NO_TLS = /TLS handshake failed/;
/** Answers of brokers to what is written while too few of them run. */
const TOO_FEW_COPIES = ['NOT_ENOUGH_REPLICAS', 'NOT_ENOUGH_REPLICAS_AFTER_APPEND'];

/** An error of the client as one of ours, whose message says what to look at. All of them may pass by waiting. */
export function unavailable(cause: unknown, connection: KafkaConnection): UnavailableError {
  const errors = causesOf(toError(cause));
  return new UnavailableError(refusal(errors, connection) ?? trouble(errors, connection), { cause });
}

/** What settings can mend: who we are, and how the connection is kept private. */
function refusal(errors: readonly Error[], { brokers }: KafkaConnection): string | undefined {
  const at = brokers.join(',');
  const has = (test: (error: Error) => boolean): boolean => errors.some(test);
  if (has(isRefusal))
    return `Kafka at ${at} refuses the credentials; see KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD`;
  if (has((error) => NOT_TRUSTED.test((error as NodeJS.ErrnoException).code ?? '')))
    return `Kafka at ${at} shows a certificate that is not trusted (${summary(errors)}); see KAFKA_TLS: it can be the file of the authority that has signed it`;
  if (has(({ message }) => WANTS_TLS.test(message))) return `Kafka at ${at} wants TLS; see KAFKA_TLS`;
  if (has(({ message }) => NO_TLS.test(message)))
    return `Kafka at ${at} ends the connection when TLS begins; see KAFKA_TLS: off, if the brokers speak none`;
  return undefined;
}

/** Who closes the connection during the login has not said what is wrong: it may not have understood a word. */
function isRefusal(error: Error): boolean {
  return error instanceof AuthenticationError && !causesOf(error).some((one) => one instanceof NetworkError);
}

function trouble(errors: readonly Error[], connection: KafkaConnection): string {
  const all = connection.brokers.join(',');
  const answers = errors.filter((error) => error instanceof ProtocolError);
  if (answers.some(({ apiId }) => TOO_FEW_COPIES.includes(apiId)))
    return `Kafka at ${all} has too few brokers for another copy of what is written (${summary(answers)}); look which of them are down, and start them`;
  if (errors.some((error) => error instanceof NetworkError)) return outOfReach(errors, connection);
  if (errors.some((error) => error instanceof TimeoutError))
    return `a broker of Kafka does not answer (${summary(errors)}); look whether all of ${all} run, and at the network`;
  if (answers.some(({ canRetry, needsRejoin }) => canRetry === true || needsRejoin === true))
    return `Kafka: ${summary(answers)}; brokers, or members of the group, come and go, which passes within seconds; if it does not, look whether all of ${all} run`;
  return `Kafka: ${summary(errors)}`;
}

function outOfReach(errors: readonly Error[], connection: KafkaConnection): string {
  const { brokers } = connection;
  const why = summary(errors);
  const missing = brokers.filter((broker) => errors.some(({ message }) => message.includes(broker)));
  if (missing.length === 0 || missing.length === brokers.length)
    return `Kafka is out of reach at ${brokers.join(',')} (${why}); see KAFKA_BROKERS${hints(connection)}`;
  return `of the Kafka brokers ${brokers.join(',')} some are out of reach: ${missing.join(',')} (${why}); look whether they run; the others take over within seconds where there are enough`;
}

/** What brokers may want that is not set: those that want it may close a connection without a word. */
function hints({ tls, sasl }: KafkaConnection): string {
  const unset = [...(tls === undefined ? ['KAFKA_TLS'] : []), ...(sasl === undefined ? ['KAFKA_SASL_MECHANISM'] : [])];
  return unset.length === 0
    ? ''
    : `, and ${unset.join(' and ')} if the brokers want ${unset.length === 1 ? 'it' : 'them'}`;
}

function summary(errors: readonly Error[]): string {
  return [...new Set(errors.map((error) => error.message))].slice(-3).join(': ');
}

/** Whether brokers answered with this error, by its name in Kafka's protocol. */
export function isAnswer(cause: unknown, name: string): boolean {
  return causesOf(toError(cause)).some((error) => error instanceof ProtocolError && error.apiId === name);
}

/** The error and all that it goes back to. */
function causesOf(error: Error): readonly Error[] {
  const inner = error instanceof AggregateError || error instanceof MultipleErrors ? error.errors : [];
  const cause = error.cause instanceof Error ? [error.cause] : [];
  return [error, ...[...inner, ...cause].flatMap((one) => causesOf(one))];
}
