import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { EVENT_DOCS, renderEventDocs } from '../../tools/generate-event-docs.ts';

test('docs/events says what the contracts say; if not, run: node tools/generate-event-docs.ts', () => {
  const pages = renderEventDocs();
  assert.deepEqual(readdirSync(EVENT_DOCS).sort(), [...pages.keys()].sort());
  for (const [name, text] of pages) assert.equal(readFileSync(join(EVENT_DOCS, name), 'utf8'), text, name);
});
