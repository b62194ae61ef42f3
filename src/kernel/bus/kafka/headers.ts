import { DataError } from '../../core/errors.ts';
import { isUuid } from '../../core/ids.ts';

/** Headers to be written: name and text in turn. A list of pairs would be seventeen lists more for every event. */
export type HeaderList = readonly (Buffer | string)[];

/** Headers as they come: name and value, in their order. */
export type HeaderEntries = readonly (readonly [Buffer | null, Buffer | null])[];

/** The headers of a message as texts; of several with one name the last. What `need` and the others want must be there. */
export interface Headers {
  find(name: Buffer): string | undefined;
  /** @throws DataError when it is missing, as do the others, or is not what it should be */
  need(name: Buffer): string;
  number(name: Buffer): number;
  uuid(name: Buffer): string;
}

export function readHeaders(entries: HeaderEntries): Headers {
  const texts = new Map<string, string>();
  for (const [name, value] of entries) texts.set(name?.toString() ?? '', value?.toString() ?? '');
  const find = (name: Buffer): string | undefined => texts.get(name.toString());
  const need = (name: Buffer): string => {
    const value = find(name);
    if (value === undefined || value === '') throw new DataError(`the message has no header ${name.toString()}`);
    return value;
  };
  return {
    find,
    need,
    number: (name) => {
      const value = Number(need(name));
      if (!Number.isSafeInteger(value) || value < 0) throw new DataError(`${name.toString()} is no whole number`);
      return value;
    },
    uuid: (name) => {
      const value = need(name);
      if (!isUuid(value)) throw new DataError(`${name.toString()} is no UUID`);
      return value;
    },
  };
}
