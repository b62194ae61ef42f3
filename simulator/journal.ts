import { appendFileSync, closeSync, createReadStream, ftruncateSync, mkdirSync, openSync, truncateSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Log } from './log.ts';

/**
 * The file behind the record: one JSON object per line, only ever appended to.
 *
 * Lines gather until the end of the turn and go out in one `write`, before the answers that depend on them. There is
 * no `fsync`: a killed simulator forgets nothing that it acknowledged, a machine that loses power may.
 */
export interface Journal {
  append(line: object): void;
  /** Resolves when all lines so far are in the file; rejects, from then on, once a write has failed. */
  flushed(): Promise<void>;
  /** Empties the file, lines on their way included. */
  truncate(): void;
  close(): Promise<void>;
}

/** Far above what any line takes; a file with longer ones is something else. */
const MAX_LINE_BYTES = 65_536;

/** First line of every file, so that a later format is recognised instead of misread. */
const HEADER = { format: 'caudal-simulator', version: 1 };

/** The journal of a simulator that keeps its record in memory only. */
export const noJournal: Journal = {
  append: () => undefined,
  flushed: () => Promise.resolve(),
  truncate: () => undefined,
  close: () => Promise.resolve(),
};

/**
 * Opens the file, made where it is absent, and hands each line kept in it to `restore`.
 * A last line without its end was being written when the process died: nobody was told of it, so it is cut off.
 * @throws Error that names the file when it is not a simulator's, of a newer version, or damaged
 */
export async function openJournal(file: string, restore: (line: object) => void, log: Log): Promise<Journal> {
  mkdirSync(dirname(file), { recursive: true });
  const descriptor = openSync(file, 'a');
  try {
    const kept = await readLines(file, restore);
    if (kept.torn) {
      log('warn', 'the last line of the record was incomplete and is cut off', { file, offset: kept.bytes });
      truncateSync(file, kept.bytes);
    }
    const journal = createJournal(descriptor, log);
    if (kept.bytes === 0) journal.append(HEADER);
    return journal;
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

function createJournal(descriptor: number, log: Log): Journal {
  let pending = '';
  let flush: PromiseWithResolvers<void> | undefined;
  let failure: Error | undefined;

  function write(): void {
    const [lines, done] = [pending, flush];
    pending = '';
    flush = undefined;
    try {
      if (failure === undefined) appendFileSync(descriptor, lines);
    } catch (error) {
      // A line may be half written: nothing can follow it, so every later call is refused until a restart.
      failure = error as Error;
      log('error', 'the record cannot be written; calls are refused until the simulator is restarted', {
        error: failure.message,
      });
    }
    if (failure === undefined) done?.resolve();
    else done?.reject(failure);
  }

  function append(line: object): void {
    pending += `${JSON.stringify(line)}\n`;
    if (flush !== undefined) return;
    flush = Promise.withResolvers();
    // A line that nobody waits for, such as a timer's, must not end the process when it cannot be written.
    flush.promise.catch(() => undefined);
    setImmediate(write);
  }

  function flushed(): Promise<void> {
    if (failure !== undefined) return Promise.reject(failure);
    return flush?.promise ?? Promise.resolve();
  }

  function truncate(): void {
    pending = '';
    ftruncateSync(descriptor);
    append(HEADER);
  }

  async function close(): Promise<void> {
    // Waits for the last write whether or not it can be done; a failure was logged when it happened.
    await Promise.allSettled([flushed()]);
    // The number of a closed file is given to the next one opened: nothing may be written to it from here on.
    failure ??= new Error('the record is closed');
    closeSync(descriptor);
  }

  return { append, flushed, truncate, close };
}

/** Hands on every line but the header; tells how many bytes whole lines take, and whether a torn one follows. */
async function readLines(file: string, restore: (line: object) => void): Promise<{ bytes: number; torn: boolean }> {
  let number = 0;
  let bytes = 0;
  let rest = Buffer.alloc(0);
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) {
    let block = Buffer.concat([rest, chunk as Buffer]);
    for (let end = block.indexOf(10); end >= 0; end = block.indexOf(10)) {
      readLine(file, ++number, block.toString('utf8', 0, end), restore);
      bytes += end + 1;
      block = block.subarray(end + 1);
    }
    if (block.length > MAX_LINE_BYTES)
      throw new Error(`${file} is not the record of a simulator: its lines are too long`);
    rest = block;
  }
  return { bytes, torn: rest.length > 0 };
}

function readLine(file: string, number: number, text: string, restore: (line: object) => void): void {
  try {
    const line = JSON.parse(text) as { format?: string; version?: number };
    if (number > 1) restore(line);
    else checkHeader(line);
  } catch (error) {
    throw new Error(`the simulator's record ${file} cannot be read, line ${number}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function checkHeader(line: { format?: string; version?: number }): void {
  if (line.format !== HEADER.format) throw new Error('it is not the record of a simulator');
  if (line.version !== HEADER.version)
    throw new Error(`its version is ${line.version}, this simulator reads version ${HEADER.version}`);
}
