import { spawn } from 'node:child_process';

/**
 * Waits until the process at the other end of its standard input is gone, however that ended; then kills what it was told of and
 * its children, of which PostgreSQL's may be stopped, unless the number is another program's by now, and unmounts what was mounted.
 */
const SCRIPT = `
  while read -r kind value; do
    if [ "$kind" = pid ]; then pids="$pids $value"; else mounts="$mounts $value"; fi
  done
  for file in "$1/postgres/postmaster.pid" "$1/simulator.pid"; do
    [ -f "$file" ] && pids="$pids $(head -n 1 "$file")"
  done
  for pid in $pids; do
    case "$(ps -ww -o args= -p "$pid")" in *src/cli/main.ts*|*simulator/main.ts*|*"$1"*) kill -KILL "$pid" $(pgrep -P "$pid");; esac
  done
  for mount in $mounts; do
    umount -l "$mount"
  done`;

/** Cleans up after this process when it cannot do so itself. */
export interface Guardian {
  /** A process that must not outlive this one. */
  watch(pid: number): void;
  /** A folder on which something is mounted that must not outlive this process. */
  watchMount(path: string): void;
  /** Lets it go, when everything has been cleaned up. */
  close(): void;
}

/**
 * It looks after what servers start on the folder by themselves, too.
 * @param folder the data folder; it occurs in the command lines of PostgreSQL
 */
export function startGuardian(folder: string): Guardian {
  const child = spawn('sh', ['-c', SCRIPT, 'sh', folder], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  child.unref();
  const input = child.stdin as typeof child.stdin & { unref(): void };
  input.unref();
  return {
    watch: (pid) => void input.write(`pid ${pid}\n`),
    watchMount: (path) => void input.write(`mount ${path}\n`),
    close: () => void input.end(),
  };
}
