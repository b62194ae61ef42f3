import { spawn } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Ends what a harness that was killed leaves behind: waits for the end of its standard input, then ends the servers and
 * PostgreSQL by their process ids, and removes the folder. Kafka ends with the harness by itself.
 */
const GUARDIAN = `
  cat > /dev/null
  [ -d "$1" ] || exit 0
  kill -KILL $(cat "$1/server.pid")
  kill -QUIT "$(head -n 1 "$1/postgres/postmaster.pid")"
  sleep 1
  rm -rf "$1"`;

/**
 * Runs `work` with an empty folder for data, in which server.pid may name processes and postgres/ may be PostgreSQL's, and
 * leaves nothing behind, however it ends.
 */
export async function withDataFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'caudal-bench-'));
  // PostgreSQL may run as another user, who must be able to pass.
  await chmod(folder, 0o711);
  const guardian = spawn('sh', ['-c', GUARDIAN, 'sh', folder], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
    guardian.stdin!.end();
  }
}
