import { readFile, stat } from 'node:fs/promises';
import { DataError, toError } from '#kernel/core/errors.ts';
import { type FraudRules, parseRules } from './rules.ts';

const MAX_FILE_BYTES = 16 * 1024 * 1024;

/** Where the watcher tells what it does; pino's loggers fit. */
export interface RulesLog {
  info(message: string): void;
  error(message: string): void;
}

/** Rules that follow their file. */
export interface WatchedRules {
  /** The rules in force. */
  current(): FraudRules;
  stop(): void;
}

/**
 * Reads a file of fraud rules.
 * @throws Error naming the file and what is wrong in it
 */
export async function loadRules(path: string): Promise<FraudRules> {
  try {
    const { size } = await stat(path);
    if (size > MAX_FILE_BYTES) throw new DataError(`the file is larger than ${MAX_FILE_BYTES} bytes`);
    return parseRules(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new DataError(`the fraud rules ${path} cannot be used: ${toError(cause).message}`, { cause });
  }
}

/**
 * Reads the rules, and reads them again whenever the file changes. Rules that are broken are refused: those in force
 * stay, and the log says what is wrong. The file is looked at by its time and size, since notifications of file systems
 * get lost in containers and over networks.
 * @param intervalMs how often the file is looked at
 * @throws Error when the file cannot be used at the start
 */
export async function watchRules(path: string, intervalMs: number, log: RulesLog): Promise<WatchedRules> {
  let version = await versionOf(path);
  let rules = await loadRules(path);
  let looking = false;

  async function look(): Promise<void> {
    const found = await versionOf(path);
    if (found === version) return;
    version = found;
    try {
      rules = await loadRules(path);
      log.info(`${rules.rules.length} fraud rules are in force from now on, read from ${path}`);
    } catch (cause) {
      log.error(`${toError(cause).message}; the rules before stay in force`);
    }
  }

  const timer = setInterval(() => {
    if (looking) return;
    looking = true;
    look().finally(() => {
      looking = false;
    });
  }, intervalMs);
  timer.unref();
  return { current: () => rules, stop: () => clearInterval(timer) };
}

/** Changes when the file does; a file that is missing is a version too. */
async function versionOf(path: string): Promise<string> {
  try {
    const { mtimeMs, size, ino } = await stat(path);
    return `${mtimeMs} ${size} ${ino}`;
  } catch (cause) {
    return `unreadable: ${toError(cause).message}`;
  }
}
