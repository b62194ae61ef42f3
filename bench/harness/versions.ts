import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Sql } from '#kernel/postgres/sql.ts';

/** What was measured. */
export interface Source {
  /** The commit, with `+` when files were changed since; `unknown` outside of a repository. */
  readonly commit: string;
  readonly node: string;
}

/** And on what. */
export interface Versions extends Source {
  readonly postgres: string;
}

export async function sourceVersions(): Promise<Source> {
  return { commit: await commit(), node: process.versions.node };
}

export async function versions(sql: Sql): Promise<Versions> {
  const rows = await sql.query<{ server_version: string }>('SHOW server_version');
  return { ...(await sourceVersions()), postgres: rows[0]!.server_version };
}

async function commit(): Promise<string> {
  try {
    const git = async (...args: string[]) =>
      (await promisify(execFile)('git', args, { cwd: import.meta.dirname })).stdout.trim();
    const changed = await git('status', '--porcelain', '--untracked-files=no');
    return `${await git('rev-parse', '--short', 'HEAD')}${changed === '' ? '' : '+'}`;
  } catch {
    // No git, or no repository: a copy of the files.
    return 'unknown';
  }
}
