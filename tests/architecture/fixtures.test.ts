import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { type DeclaredEvent, declaredEvents, fixtureOf } from '../../tools/declared-events.ts';

const SERVICES = join(import.meta.dirname, '../../src/services');

/** The fixtures of all versions of an event that were ever published, oldest first. */
function fixturesOf(declared: DeclaredEvent): readonly string[] {
  return Array.from({ length: declared.definition.version }, (_, i) => fixtureOf(declared, i + 1));
}

for (const declared of declaredEvents) {
  const { type, version } = declared.definition;
  test(`${type}: what was published as version ${version} is still valid`, () => {
    const latest = readFileSync(fixtureOf(declared, version), 'utf8');
    assert.equal(declared.definition.problem(JSON.parse(latest)), undefined);
  });
}

test('every version of every event has its fixture, and every fixture is of an event', () => {
  const expected = declaredEvents.flatMap(fixturesOf).sort();
  const present = readdirSync(SERVICES).flatMap((service) => {
    const folder = join(SERVICES, service, 'fixtures');
    return existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
  });
  assert.deepEqual(present.sort(), expected);
});

test('no two services declare the same event', () => {
  const types = declaredEvents.map(({ definition }) => definition.type);
  assert.deepEqual([...new Set(types)], types);
});
