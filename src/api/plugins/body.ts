import type { FastifyInstance } from 'fastify';
import { RequestError, toError } from '#kernel/core/errors.ts';

/** 1 MiB: larger bodies are refused with 413. */
export const BODY_LIMIT_BYTES = 1_048_576;

/** A double holds every decimal of up to 15 significant digits; a number that has more shows as such a run in the body. */
const LONG_NUMBER = /[\d.]{16}/;

/** The fields that are taken exactly, however many digits they have. */
const EXACT_FIELDS = new Set(['amount', 'overdraft_limit']);

/** An escape for U+0000 or for half of a surrogate pair: such text cannot be stored. */
const SUSPECT_ESCAPE = /\\u(?:0000|[dD][89a-fA-F])/;

type Done = (error: Error | null, body?: unknown) => void;

/** Takes JSON bodies only: amounts exactly, text that can be stored, and no `__proto__`. */
export function acceptJson(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  const options = { parseAs: 'string', bodyLimit: BODY_LIMIT_BYTES } as const;
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', options, (request, text: string, done) => {
    let body: unknown;
    try {
      body = read(text, (into) => void parse(request, text, into));
    } catch (cause) {
      done(new RequestError('invalid_json', `the body cannot be read: ${toError(cause).message}`));
      return;
    }
    done(null, body);
  });
}

function read(text: string, parse: (into: Done) => void): unknown {
  let body: unknown;
  parse((error, value) => {
    if (error) throw error;
    body = value;
  });
  if (SUSPECT_ESCAPE.test(text) && !isStorable(body)) throw new Error('text must be Unicode, without U+0000');
  return LONG_NUMBER.test(text) ? parseExactly(text) : body;
}

/** The body with long amounts as the text that was sent, for `parseAmount` to read digit by digit. */
function parseExactly(text: string): unknown {
  return JSON.parse(text, (key, value, context?: { readonly source?: string }) => {
    const exact = typeof value === 'number' && EXACT_FIELDS.has(key) && context?.source !== undefined;
    return exact && LONG_NUMBER.test(context.source) ? context.source : value;
  });
}

function isStorable(value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed() && !value.includes('\0');
  if (typeof value !== 'object' || value === null) return true;
  return Object.entries(value).every(([key, item]) => isStorable(key) && isStorable(item));
}
