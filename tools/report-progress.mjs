// A reporter for node --test: one dot for each test; for a failed one its name, place, error, and what its file printed;
// what tests tell by `diagnostic`, as the seed that a run by chance can be repeated with; and at the end which files took longest.
import { relative, resolve } from 'node:path';
import { inspect } from 'node:util';
import { isEmptyFile } from './report-counts.mjs';

const DOTS_PER_LINE = 100;
const KEPT_OUTPUT = 20_000;
const LONGEST_FILES = 8;
const WORTH_TELLING_MS = 10_000;

export default async function* reportProgress(source) {
  const printed = new Map();
  const took = [];
  let dots = 0;
  for await (const { type, data } of source) {
    if (type === 'test:stdout' || type === 'test:stderr') {
      const file = resolve(data.file);
      printed.set(file, ((printed.get(file) ?? '') + data.message).slice(-KEPT_OUTPUT));
    } else if (type === 'test:pass' && isEmptyFile(data)) {
      yield `\nFAILED: there is no test in ${placeOf(data)}\n`;
    } else if (type === 'test:pass' && data.details.type !== 'suite') {
      dots += 1;
      const end = dots % DOTS_PER_LINE === 0 ? '\n' : '';
      yield isSkipped(data) ? `\nskipped: ${placeOf(data)} ${data.name}\n` : `.${end}`;
    } else if (type === 'test:diagnostic' && data.line !== undefined) {
      yield `\n${data.message}\n`;
    } else if (type === 'test:fail' && data.details.error?.failureType !== 'subtestsFailed') {
      const file = resolve(data.file ?? data.name);
      yield failure(data, printed.get(file) ?? '');
      printed.delete(file);
    } else if (type === 'test:summary' && data.file !== undefined) {
      took.push({ file: relative(process.cwd(), data.file), ms: data.duration_ms });
    }
  }
  yield `\n${longest(took)}`;
}

function longest(took) {
  const worth = took.filter(({ ms }) => ms > WORTH_TELLING_MS).sort((one, other) => other.ms - one.ms);
  const files = worth.slice(0, LONGEST_FILES).map(({ file, ms }) => `${file} ${Math.round(ms / 1000)} s`);
  return files.length === 0 ? '' : `\nLongest: ${files.join(', ')}\n`;
}

function isSkipped(data) {
  return data.skip !== undefined || data.todo !== undefined;
}

function failure(data, output) {
  const error = data.details.error?.cause ?? data.details.error;
  const reason = error instanceof Error ? inspect(error, { depth: 4 }) : String(error);
  const lines = [`FAILED: ${data.name}`, `at ${placeOf(data)}`, ...indent(reason)];
  if (output !== '') lines.push('what this file printed:', ...indent(output.trimEnd()));
  return `\n${lines.join('\n')}\n\n`;
}

function indent(text) {
  return text.split('\n').map((line) => `  ${line}`);
}

function placeOf(data) {
  const file = data.file === undefined ? data.name : relative(process.cwd(), data.file);
  return data.line === undefined ? file : `${file}:${data.line}`;
}
