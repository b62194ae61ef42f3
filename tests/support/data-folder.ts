import { spawn } from 'node:child_process';
import { chmod, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Stops the server and removes the folder when the process at the other end of its standard input is gone. */
const GUARDIAN = `
  cat > /dev/null
  for attempt in 1 2 3 4 5 6 7 8 9 10; do
    [ -d "$1" ] || exit 0
    kill -QUIT "$(head -n 1 "$1/postgres/postmaster.pid")"
    sleep 0.5
    rm -rf "$1"
  done`;

/** A folder for CAUDAL_DATA. A server that runs in it ends, and the folder goes, with this process, however that ends. */
export async function temporaryDataFolder(): Promise<string> {
  const path = await openFolder();
  const guardian = spawn('sh', ['-c', GUARDIAN, 'sh', path], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  guardian.unref();
  (guardian.stdin as unknown as { unref(): void }).unref();
  return path;
}

/** A new folder that the account of the embedded PostgreSQL may search. */
export async function openFolder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'caudal-test-'));
  await chmod(path, 0o711);
  return path;
}
