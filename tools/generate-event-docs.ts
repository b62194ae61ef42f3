// Writes docs/events/ from the contracts of the services and the topologies:  node tools/generate-event-docs.ts
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type DeclaredEvent, declaredEvents, fixtureOf } from './declared-events.ts';
import { renderTopologies, TOPOLOGY_INTRO } from './topology-docs.ts';

/** What is used of a payload's JSON schema. */
interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly maxItems?: number;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
}

export const EVENT_DOCS = join(import.meta.dirname, '../docs/events');

const NOTICE = '<!-- Made by tools/generate-event-docs.ts from the code. Do not edit. -->';

/** The pages of docs/events/ by file name: an index, the topologies, and one page for each service that declares events. */
export function renderEventDocs(): ReadonlyMap<string, string> {
  const pages = new Map([
    ['README.md', renderIndex()],
    ['topologies.md', page('Topologies', TOPOLOGY_INTRO, renderTopologies())],
  ]);
  for (const service of new Set(declaredEvents.map((declared) => declared.service))) {
    pages.set(`${service}.md`, renderService(service));
  }
  return pages;
}

function renderIndex(): string {
  const rows = declaredEvents.map(({ service, definition: { type, version, description } }) => {
    return `| [\`${type}\`](${service}.md#${anchorOf(type)}) | ${version} | ${service} | ${description} |`;
  });
  const intro =
    'Every event type, by the service that declares it. [Topologies](topologies.md) say which topic it is on.';
  return page('Events', intro, [['| type | version | producer | meaning |', '|---|---|---|---|', ...rows].join('\n')]);
}

function renderService(service: string): string {
  const own = declaredEvents.filter((declared) => declared.service === service);
  const intro = `Declared in \`src/services/${service}/contract.ts\`. [All events](README.md).`;
  return page(`Events of ${service}`, intro, own.map(renderEvent));
}

function page(title: string, intro: string, sections: readonly string[]): string {
  return `${[NOTICE, `# ${title}`, intro, ...sections].join('\n\n')}\n`;
}

function renderEvent(declared: DeclaredEvent): string {
  const { type, version, description, schema } = declared.definition;
  const { properties = {}, required = [] } = schema as Schema;
  const rows = Object.entries(properties).map(([name, property]) => {
    const meaning = escapeCell(property.description ?? '');
    return `| \`${name}\` | ${escapeCell(typeOf(property))} | ${required.includes(name) ? 'yes' : ''} | ${meaning} |`;
  });
  const example = readFileSync(fixtureOf(declared, version), 'utf8').trim();
  return [
    `## ${type}`,
    `Version ${version}. ${description}`,
    ['| field | type | required | meaning |', '|---|---|---|---|', ...rows].join('\n'),
    `\`\`\`json\n${example}\n\`\`\``,
  ].join('\n\n');
}

/** A property's type and limits in words. */
function typeOf(schema: Schema): string {
  if (schema.enum !== undefined) return schema.enum.map((word) => `\`${word}\``).join(', ');
  if (schema.items !== undefined) return `array of ${typeOf(schema.items)}${upTo(schema.maxItems, 'items')}`;
  if (schema.type === 'string') {
    return schema.pattern === undefined
      ? `string${upTo(schema.maxLength, 'characters')}`
      : `string, \`${schema.pattern}\``;
  }
  const above = schema.exclusiveMinimum === undefined ? '' : ` > ${schema.exclusiveMinimum}`;
  const from = schema.minimum === undefined || schema.minimum === Number.MIN_SAFE_INTEGER ? '' : ` ≥ ${schema.minimum}`;
  const to = schema.maximum === undefined || schema.maximum === Number.MAX_SAFE_INTEGER ? '' : ` ≤ ${schema.maximum}`;
  return `${schema.type ?? 'any'}${above}${from}${to}`;
}

function upTo(limit: number | undefined, unit: string): string {
  return limit === undefined ? '' : `, up to ${limit} ${unit}`;
}

function escapeCell(text: string): string {
  return text.replaceAll('|', '\\|');
}

/** How GitHub names the anchor of a heading. */
function anchorOf(heading: string): string {
  return heading.replaceAll('.', '');
}

if (import.meta.main) {
  rmSync(EVENT_DOCS, { recursive: true, force: true });
  mkdirSync(EVENT_DOCS, { recursive: true });
  for (const [name, text] of renderEventDocs()) writeFileSync(join(EVENT_DOCS, name), text);
}
