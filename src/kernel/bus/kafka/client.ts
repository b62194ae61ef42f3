import type { ConnectionOptions } from 'node:tls';
import {
  AuthenticationError,
  type BaseOptions,
  MultipleErrors,
  NetworkError,
  ProtocolError,
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

/** What all clients of a process have in common. They do not try again by themselves: whoever uses one knows what to do. */
export function clientOptions({ brokers, clientId, sasl, tls }: KafkaConnection): BaseOptions {
  return {
    clientId,
    bootstrapBrokers: [...brokers],
    connectTimeout: CONNECT_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    timeout: REQUEST_TIMEOUT_MS,
    retries: 0,
    ...(sasl !== undefined && { sasl }),
    ...(tls !== undefined && { tls }),
  };
}

/** Answers of brokers to what is written while too few of them run. */
const TOO_FEW_COPIES = ['NOT_ENOUGH_REPLICAS', 'NOT_ENOUGH_REPLICAS_AFTER_APPEND'];

/** An error of the client as one of ours, whose message says what to look at. All of them may pass by waiting. */
export function unavailable(cause: unknown, { brokers }: KafkaConnection): UnavailableError {
  return new UnavailableError(messageOf(causesOf(toError(cause)), brokers), { cause });
}

function messageOf(errors: readonly Error[], brokers: readonly string[]): string {
  const all = brokers.join(',');
  if (errors.some((error) => error instanceof AuthenticationError))
    return `Kafka at ${all} refuses the credentials; see KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD`;
  const answers = errors.filter((error) => error instanceof ProtocolError);
  if (answers.some(({ apiId }) => TOO_FEW_COPIES.includes(apiId)))
    return `Kafka at ${all} has too few brokers for another copy of what is written (${summary(answers)}); look which of them are down, and start them`;
  if (errors.some((error) => error instanceof NetworkError)) return outOfReach(errors, brokers);
  if (errors.some((error) => error instanceof TimeoutError))
    return `a broker of Kafka does not answer (${summary(errors)}); look whether all of ${all} run, and at the network`;
  if (answers.some(({ canRetry, needsRejoin }) => canRetry === true || needsRejoin === true))
    return `Kafka: ${summary(answers)}; brokers, or members of the group, come and go, which passes within seconds; if it does not, look whether all of ${all} run`;
  return `Kafka: ${summary(errors)}`;
}

function outOfReach(errors: readonly Error[], brokers: readonly string[]): string {
  const why = summary(errors);
  const missing = brokers.filter((broker) => errors.some(({ message }) => message.includes(broker)));
  if (missing.length === 0 || missing.length === brokers.length)
    return `Kafka is out of reach at ${brokers.join(',')} (${why}); see KAFKA_BROKERS, and KAFKA_TLS and KAFKA_SASL_MECHANISM if the brokers want them`;
  return `of the Kafka brokers ${brokers.join(',')} some are out of reach: ${missing.join(',')} (${why}); look whether they run; the others take over within seconds where there are enough`;
}

function summary(errors: readonly Error[]): string {
  return [...new Set(errors.map((error) => error.message))].slice(-3).join(': ');
}

/** The error and all that it goes back to. */
function causesOf(error: Error): readonly Error[] {
  const inner = error instanceof AggregateError || error instanceof MultipleErrors ? error.errors : [];
  const cause = error.cause instanceof Error ? [error.cause] : [];
  return [error, ...[...inner, ...cause].flatMap((one) => causesOf(one))];
}
