import { Type } from '@sinclair/typebox';
import { RequestError } from '../core/errors.ts';
import { isUuid } from '../core/ids.ts';
import { InvalidInputError } from './validation.ts';

const MAX_LIMIT = 1000;
const DEFAULT_LIMIT = 50;
const DAY_MS = 86_400_000;

/** The query of every list. */
export const pageQuery = {
  limit: Type.Optional(
    Type.Integer({ minimum: 1, maximum: MAX_LIMIT, default: DEFAULT_LIMIT, description: 'how many at most' }),
  ),
  cursor: Type.Optional(Type.String({ maxLength: 255, description: '`next_cursor` of the page before' })),
};

export const limitOf = (query: { readonly limit?: number }): number => query.limit ?? DEFAULT_LIMIT;

export const idParams = Type.Object({ id: Type.String({ maxLength: 255 }) });

/**
 * An id from a path, in the form that the store knows.
 * @throws RequestError `invalid_id`
 */
export function uuidParam(text: string): string {
  const id = text.toLowerCase();
  if (!isUuid(id)) throw new RequestError('invalid_id', `${JSON.stringify(text.slice(0, 64))} is not a UUID`);
  return id;
}

/** @throws RequestError `invalid_cursor` when the cursor does not have the form that the list gives out */
export function cursorOf(cursor: string | undefined, isValid: (cursor: string) => boolean): string | undefined {
  if (cursor === undefined || isValid(cursor)) return cursor;
  throw new RequestError('invalid_cursor', 'cursor must be the next_cursor of the page before');
}

const MOMENT = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d))?$/;
const DATE_LENGTH = 10;

/** A day or a moment of a request. */
export const momentInput = (description: string) =>
  Type.String({
    description: `${description}; a date (UTC) or an RFC 3339 time`,
    examples: ['2026-11-22', '2026-11-22T10:00:00Z'],
  });

const EARLIEST = Date.UTC(1900, 0, 1);
const LATEST = Date.UTC(9999, 11, 31);

/**
 * Milliseconds since 1970 of a moment; of a date alone its first millisecond.
 * @throws InvalidInputError naming the field
 */
export function momentOf(text: string, field: string): number {
  const time = MOMENT.test(text) && isRealDay(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time)) {
    const message = `${field} must be a date such as 2026-11-22 or a time such as 2026-11-22T10:00:00Z`;
    throw new InvalidInputError([{ field, code: 'wrong_format', message }]);
  }
  if (time < EARLIEST || time > LATEST) {
    throw new InvalidInputError([{ field, code: 'out_of_range', message: `${field} must be from 1900 to 9999` }]);
  }
  return time;
}

/** JavaScript takes the 31st of February for the 3rd of March. */
function isRealDay(text: string): boolean {
  const date = text.slice(0, DATE_LENGTH);
  const time = Date.parse(`${date}T00:00:00Z`);
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(date);
}

/** The end of a range, exclusive: of a date alone the start of the next day, so that the day itself is within. */
export function endOf(text: string, field: string): number {
  const time = momentOf(text, field);
  return text.length === DATE_LENGTH ? time + DAY_MS : time;
}

/** The moment itself; of a date alone its last millisecond. */
export function lastMomentOf(text: string, field: string): number {
  const time = momentOf(text, field);
  return text.length === DATE_LENGTH ? time + DAY_MS - 1 : time;
}
