import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/** An account of this machine. */
export interface Account {
  uid: number;
  gid: number;
}

/** Bits of Linux' capabilities, as in /proc/self/status; see capabilities(7). */
const CAP_DAC_READ_SEARCH = 1n << 2n;
const CAP_SETPCAP = 1n << 8n;
const NEEDED_CAPABILITIES = CAP_DAC_READ_SEARCH | CAP_SETPCAP;

/**
 * The account that PostgreSQL has to run as, since it refuses to run as root: undefined when we are not root, else the owner of
 * the data folder when that is an ordinary user, else the account `postgres`, else `nobody`.
 */
export function serverAccount(dataDir: string): Account | undefined {
  if (process.getuid?.() !== 0) return undefined;
  if (existsSync(dataDir)) {
    const { uid, gid } = statSync(dataDir);
    if (uid !== 0) return { uid, gid };
  }
  const account = accountNamed('postgres') ?? accountNamed('nobody');
  if (account === undefined) throw new Error(cannotRunAsRoot('there is no account "postgres" or "nobody"'));
  return account;
}

function accountNamed(name: string): Account | undefined {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith(`${name}:`));
  if (line === undefined) return undefined;
  const [, , uid, gid] = line.split(':');
  return { uid: Number(uid), gid: Number(gid) };
}

/**
 * The command line that runs `command` as `account`. When a folder on the way to one of `paths` is closed to that account (a
 * clone in /root, say), the command keeps root's right to search folders, and no other.
 */
export function commandAs(account: Account | undefined, paths: string[], command: string[]): [string, string[]] {
  const [program = '', ...rest] = account === undefined ? command : [...setpriv(account, paths), ...command];
  return [program, rest];
}

function setpriv(account: Account, paths: string[]): string[] {
  requireSetpriv();
  const base = ['setpriv', `--reuid=${account.uid}`, `--regid=${account.gid}`, '--clear-groups'];
  const closed = paths.map((path) => closedFolder(path, account)).find((folder) => folder !== undefined);
  if (closed === undefined) return base;
  if (!mayGrantSearch()) throw new Error(cannotRunAsRoot(`the folder ${closed} is closed to the account it runs as`));
  // initdb asks access(2) whether it may run the server, which disregards capabilities without this bit.
  const honoured = '--securebits=+no_setuid_fixup';
  return [...base, '--inh-caps=+dac_read_search', '--ambient-caps=+dac_read_search', honoured];
}

function requireSetpriv(): void {
  try {
    execFileSync('setpriv', ['--version'], { stdio: 'ignore' });
  } catch (cause) {
    throw new Error(cannotRunAsRoot('the program setpriv (package util-linux) is missing'), { cause });
  }
}

/** The first folder above `path` that `account` may not search, by the permission bits. */
function closedFolder(path: string, account: Account): string | undefined {
  const parent = dirname(path);
  if (parent === path) return undefined;
  const { uid, gid, mode } = statSync(parent);
  const searchBit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
  return (mode & searchBit) === 0 ? parent : closedFolder(parent, account);
}

/** A container may have taken the capabilities away from root. */
function mayGrantSearch(): boolean {
  const bounding = /^CapBnd:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return (BigInt(`0x${bounding ?? '0'}`) & NEEDED_CAPABILITIES) === NEEDED_CAPABILITIES;
}

function cannotRunAsRoot(reason: string): string {
  return `PostgreSQL does not run as root, and ${reason}. Start Caudal as an ordinary user, or set DATABASE_URL.`;
}
