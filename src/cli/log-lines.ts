import { type DestinationStream, destination } from 'pino';
import { paint, shortTime } from './output.ts';

const COLOURS = { ERROR: 'red', WARN: 'yellow', INFO: 'green', DEBUG: 'dim' } as const;

interface LogLine {
  readonly level: keyof typeof COLOURS;
  readonly timestamp: string;
  readonly message: string;
  readonly error?: string | { readonly message: string };
  readonly [field: string]: unknown;
}

/** Where log lines go: the file, or standard error; readable there when a person watches, else JSON. */
export function logDestination(file: string | undefined): DestinationStream {
  if (file !== undefined) return destination({ dest: file, mkdir: true, append: true, sync: false });
  if (!process.stderr.isTTY) return destination({ fd: process.stderr.fd, sync: false });
  return { write: (line) => void process.stderr.write(readable(line)) };
}

/** A JSON log line as `time LEVEL message (field=value …): error`. */
export function readable(line: string): string {
  const { level, timestamp, message, error, ...fields } = JSON.parse(line) as LogLine;
  const rest = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value) : value}`,
  );
  const details = rest.length === 0 ? '' : paint('dim', ` (${rest.join(' ')})`);
  const reason = error === undefined ? '' : `: ${typeof error === 'string' ? error : error.message}`;
  const time = paint('dim', shortTime(timestamp).slice('2026-11-22 '.length));
  return `${time} ${paint(COLOURS[level], level)} ${message}${details}${reason}\n`;
}
