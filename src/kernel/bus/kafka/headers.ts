import { DataError } from '../../core/errors.ts';
import { isUuid } from '../../core/ids.ts';

/** Headers to be written: name and text in turn. A list of pairs would be seventeen lists more for every event. */
export type HeaderList = readonly (Buffer | string)[];

/** Headers as they come: name and value, in their order. */
export type HeaderEntries = readonly (readonly [Buffer | null, Buffer | null])[];

/** The headers of a message as texts; of several with one name any. All throw DataError when one is not what it should be. */
export interface Headers {
  find(name: Buffer): string | undefined;
  findNumber(name: Buffer): number | undefined;
  /** It must be there, as with those below. */
  need(name: Buffer): string;
  number(name: Buffer): number;
  uuid(name: Buffer): string;
}

/** Headers that are asked for in the order in which they stand are found at once, and the others are not even decoded. */
export function readHeaders(entries: HeaderEntries): Headers {
  let next = 0;
  const find = (name: Buffer): string | undefined => {
    for (let tried = 0; tried < entries.length; tried++) {
      const [found, value] = entries[next]!;
      next = (next + 1) % entries.length;
      if (found?.equals(name)) return value?.toString() ?? '';
    }
    return undefined;
  };
  const need = (name: Buffer): string => {
    const value = find(name);
    if (value === undefined || value === '') throw new DataError(`the message has no header ${name.toString()}`);
    return value;
  };
  return {
    find,
    findNumber: (name) => {
      const value = find(name);
      return value === undefined ? undefined : wholeNumber(name, value);
    },
    need,
    number: (name) => wholeNumber(name, need(name)),
    uuid: (name) => {
      const value = need(name);
      if (!isUuid(value)) throw new DataError(`${name.toString()} is no UUID`);
      return value;
    },
  };
}

function wholeNumber(name: Buffer, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new DataError(`${name.toString()} is no whole number`);
  return value;
}
