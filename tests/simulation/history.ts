import { createHash } from 'node:crypto';

/** What happened in a simulation, line by line: the same seed gives the same lines to the byte. */
export interface History {
  note(line: string): void;
  /** SHA-256 over every line so far, hex. */
  digest(): string;
  /** The last lines, oldest first. */
  readonly lines: readonly string[];
}

const CHUNK = 65_536;

/**
 * @param now the virtual time, milliseconds since 1970: lines begin with the milliseconds since the start
 * @param keep so many lines are kept, at least
 * @param sink told of every line, for whoever wants all of them
 */
export function createHistory(now: () => number, keep: number, sink?: (line: string) => void): History {
  const start = now();
  const hash = createHash('sha256');
  let lines: string[] = [];
  let waiting = '';

  return {
    note: (what) => {
      const line = `${(now() - start).toFixed(3).padStart(12)} ${what}`;
      waiting += `${line}\n`;
      if (waiting.length > CHUNK) {
        hash.update(waiting);
        waiting = '';
      }
      sink?.(line);
      lines.push(line);
      if (lines.length > 2 * keep) lines = lines.slice(-keep);
    },
    digest: () => {
      hash.update(waiting);
      waiting = '';
      return hash.copy().digest('hex');
    },
    get lines() {
      return lines.slice(-keep);
    },
  };
}
