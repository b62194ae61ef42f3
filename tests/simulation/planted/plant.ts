import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { PLANTED_BUGS } from './bugs.ts';

// Loaded before anything else (node --import): puts the bug that PLANTED_BUG names into the source as it is loaded.

const ROOT = join(import.meta.dirname, '../../..');

const bug = PLANTED_BUGS[process.env.PLANTED_BUG ?? ''];
if (bug === undefined) throw new Error(`PLANTED_BUG=${process.env.PLANTED_BUG}: there is no such bug`);
const changes = [bug, ...(bug.also === undefined ? [] : [bug.also])];

registerHooks({
  load: (url, context, nextLoad) => {
    const loaded = nextLoad(url, context);
    const here = changes.filter(({ file }) => url === pathToFileURL(join(ROOT, file)).href);
    if (here.length === 0) return loaded;
    return { ...loaded, source: here.reduce(plant, String(loaded.source)) };
  },
});

function plant(source: string, { file, find, replace }: (typeof changes)[number]): string {
  const parts = source.split(find);
  if (parts.length !== 2) throw new Error(`${file} holds the text to be replaced ${parts.length - 1} times: ${find}`);
  return parts.join(replace);
}
