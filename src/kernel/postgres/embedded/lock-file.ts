import { randomUUID } from 'node:crypto';
import { link, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

const HEARTBEAT_MS = 1_000;
const STALE_AFTER_MS = 10_000;
const RETRY_MS = 50;

/**
 * Runs `work` while no other process holds the lock file at `path`, and waits for it when one does. A lock whose holder died is
 * taken over: its process is gone, or (the number may belong to another program by now) its heartbeat stopped.
 *
 * Three processes that take over one dead lock in the same instant can in theory get it twice. What it guards must bear that:
 * PostgreSQL refuses a second server on a data folder by itself.
 */
export async function withLockFile<T>(path: string, work: () => Promise<T>): Promise<T> {
  const mine = `${process.pid} ${randomUUID()}`;
  while (!(await tryCreate(path, mine))) {
    const dead = await deadHolder(path);
    if (dead === undefined) await sleep(RETRY_MS);
    else await removeLock(path, dead);
  }
  const heartbeat = setInterval(touch, HEARTBEAT_MS, path);
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
    if ((await contentOf(path)) === mine) await rm(path, { force: true });
  }
}

/** Creates the file with its content in one step, which `link` does and `writeFile` does not. */
async function tryCreate(path: string, content: string): Promise<boolean> {
  const draft = `${path}.${process.pid}-${randomUUID()}`;
  await writeFile(draft, content);
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

/** The content of a lock whose holder died; undefined when the holder lives or has just released it. */
async function deadHolder(path: string): Promise<string | undefined> {
  const content = await contentOf(path);
  const heartbeat = await stat(path).catch(ignoreMissing);
  if (content === undefined || heartbeat === undefined) return undefined;
  const fresh = Date.now() - heartbeat.mtimeMs < STALE_AFTER_MS;
  return fresh && processExists(Number.parseInt(content, 10)) ? undefined : content;
}

/** Moves the dead lock aside and looks at what was moved: if another process was quicker, that one's lock is put back. */
async function removeLock(path: string, dead: string): Promise<void> {
  const aside = `${path}.dead-${randomUUID()}`;
  await rename(path, aside).catch(ignoreMissing);
  const moved = await contentOf(aside);
  if (moved !== undefined && moved !== dead) await link(aside, path).catch(ignoreExisting);
  await rm(aside, { force: true });
}

/** A heartbeat that cannot be written only makes the lock look dead, so the error needs no other handling. */
function touch(path: string): void {
  const now = new Date();
  utimes(path, now, now).catch(() => undefined);
}

async function contentOf(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch(ignoreMissing);
}

/** Tells whether a process with this id runs, whoever owns it. */
export function processExists(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}

function ignoreExisting(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'EEXIST') throw error;
}
