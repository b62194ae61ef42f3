import type { ConnectionOptions } from 'node:tls';
import { AuthenticationError, type BaseOptions, MultipleErrors, NetworkError } from '@platformatic/kafka';
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

/** An error of the client as one of ours, whose message says what to look at. All of them may pass by waiting. */
export function unavailable(cause: unknown, { brokers }: KafkaConnection): UnavailableError {
  const error = toError(cause);
  const deepest = causesOf(error);
  if (deepest.some((one) => one instanceof AuthenticationError))
    return new UnavailableError(
      `Kafka at ${brokers.join(',')} refuses the credentials; see KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD`,
      { cause },
    );
  if (deepest.some((one) => one instanceof NetworkError))
    return new UnavailableError(
      `Kafka is out of reach at ${brokers.join(',')} (${summary(deepest)}); see KAFKA_BROKERS, and KAFKA_TLS and KAFKA_SASL_MECHANISM if the brokers want them`,
      { cause },
    );
  return new UnavailableError(`Kafka: ${summary(deepest)}`, { cause });
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
