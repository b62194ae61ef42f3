import { type DestinationStream, type Logger, pino } from 'pino';

/** JSON lines; `child` adds fields to every line. ERROR needs a person, WARN passes by itself, INFO is business, DEBUG detail. */
export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'> & { child(fields: object): Log };

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Never written, whatever object they stand in. */
const SECRET_PATHS = [
  'payment_token',
  '*.payment_token',
  'password',
  '*.password',
  'secret',
  '*.secret',
  'req.headers.authorization',
];

/** A log with the field names that operators' tools rely on: level, timestamp, service, trace_id, message, error. */
export function createLog(level: LogLevel, destination?: DestinationStream): Log {
  return pino(
    {
      level,
      messageKey: 'message',
      errorKey: 'error',
      base: null,
      timestamp: () => `,"timestamp":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label.toUpperCase() }) },
      redact: { paths: SECRET_PATHS, censor: '[secret]' },
    },
    destination,
  );
}
