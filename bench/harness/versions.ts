import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Sql } from '#kernel/postgres/sql.ts';

/** What was measured. */
export interface Versions {
  /** The commit, with `+` when files were changed since; `unknown` outside of a repository. */
  readonly commit: string;
  readonly node: string;
  readonly postgres: string;
}

export async function versions(sql: Sql): Promise<Versions> {
  const rows = await sql.query<{ server_version: string }>('SHOW server_version');
  return { commit: await commit(), node: process.versions.node, postgres: rows[0]!.server_version };
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
