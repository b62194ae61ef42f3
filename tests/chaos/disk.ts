import { execFile } from 'node:child_process';
import { cp, mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Guardian } from './guardian.ts';

const run = promisify(execFile);

/** What a data folder may grow to in a campaign, with room to spare; memory is used for what is stored only. */
const SIZE = '512m';
const BLOCK = Buffer.alloc(1 << 20);
const SMALLEST_WRITE = 4096;

/** A small disk of its own, in memory, that can be filled. */
export interface Disk {
  /** Where it is. */
  readonly path: string;
  /** Why it is only a folder, which cannot be filled; undefined when it is a disk. */
  readonly missing: string | undefined;
  /** Takes all the space that is left. */
  fill(): Promise<void>;
  /** Gives it back. */
  free(): Promise<void>;
  /** Takes the disk away; a mere folder stays. @param keep whether what is on it is copied to `….kept` */
  close(keep: boolean): Promise<void>;
}

/** Mounts a tmpfs, which takes root. @param path a folder that is not there yet */
export async function openDisk(path: string, guardian: Guardian): Promise<Disk> {
  await mkdir(path);
  const missing = await mountAt(path);
  if (missing === undefined) guardian.watchMount(path);
  const filler = join(path, 'filler');
  return {
    path,
    missing,
    fill: () => fill(filler),
    free: () => rm(filler, { force: true }),
    close: async (keep) => {
      if (missing !== undefined) return;
      await rm(filler, { force: true });
      if (keep) await cp(path, `${path}.kept`, { recursive: true });
      // Lazily: a process that was just killed may hold its files for a moment yet.
      await run('umount', ['-l', path]);
    },
  };
}

async function mountAt(path: string): Promise<string | undefined> {
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${SIZE},mode=711`, 'caudal-chaos', path]);
    return undefined;
  } catch (error) {
    return `no disk can be mounted: ${(error as Error).message.trim().split('\n').at(-1)}`;
  }
}

/** Writes until there is no space for anything. */
async function fill(path: string): Promise<void> {
  const file = await open(path, 'a');
  try {
    for (let size = BLOCK.length; size >= SMALLEST_WRITE; ) {
      const fits = await file.write(BLOCK, 0, size).then(
        ({ bytesWritten }) => bytesWritten === size,
        (error: NodeJS.ErrnoException) => {
          if (error.code !== 'ENOSPC') throw error;
          return false;
        },
      );
      if (!fits) size /= 2;
    }
  } finally {
    await file.close();
  }
}
