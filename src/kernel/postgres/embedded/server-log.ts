import { copyFile, open, stat, truncate } from 'node:fs/promises';

const MAX_BYTES = 16 * 1024 * 1024;
const TAIL_BYTES = 64 * 1024;

/**
 * Bounds the server's log: past 16 MiB it is copied to `<path>.1`, replacing the former copy, and emptied. It is emptied rather than
 * renamed because the running server keeps appending to the file that it was given.
 */
export async function rotateLog(path: string): Promise<void> {
  if ((await logSize(path)) <= MAX_BYTES) return;
  await copyFile(path, `${path}.1`);
  await truncate(path);
}

/** The log's length in bytes; 0 when there is none yet. */
export async function logSize(path: string): Promise<number> {
  const file = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  return file?.size ?? 0;
}

/** What was appended to the log from byte `from` on, at most its last 64 KiB. */
export async function readLog(path: string, from: number): Promise<string> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const start = Math.max(from, size - TAIL_BYTES, 0);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(Math.max(size - start, 0)), 0, null, start);
    return buffer.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}

/** What the server writes for each client that asks too early, ourselves included. */
const REFUSED_CLIENT = /FATAL: {2}the database system is /;

/** The reason for a failed start in one line: the server's errors and hints, else its last lines. */
export function failureReason(log: string): string {
  const lines = log.split('\n').filter((line) => line.trim() !== '' && !REFUSED_CLIENT.test(line));
  const errors = lines.filter((line) => /\b(FATAL|PANIC|ERROR|HINT|could not|error while)\b/.test(line));
  const chosen = errors.length > 0 ? errors : lines;
  return chosen.slice(-3).map(withoutPrefix).join(' ') || 'it wrote nothing to its log';
}

function withoutPrefix(line: string): string {
  return line.replace(/^[\d-]+ [\d:.]+ UTC \[\d+\]\s+/, '').trim();
}
