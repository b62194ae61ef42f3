/** Where the simulator reports what it does; `fields` never hold a secret or a token that a caller sent. */
export type Log = (level: 'info' | 'warn' | 'error', message: string, fields?: object) => void;

/** One JSON line per message on standard error. */
export const logToStderr: Log = (level, message, fields = {}) => {
  const line = {
    level: level.toUpperCase(),
    timestamp: new Date().toISOString(),
    service: 'simulator',
    message,
    ...fields,
  };
  process.stderr.write(`${JSON.stringify(line)}\n`);
};
