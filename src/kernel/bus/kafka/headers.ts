import { DataError } from '../../core/errors.ts';
import { isUuid } from '../../core/ids.ts';
import { maxTextBytes, VarintReader, writeBytes, writeText } from './varint.ts';

/** Headers to be written: name and text in turn, since each pair would be a list of its own. */
export type HeaderList = readonly (Buffer | string)[];

/** Headers as they stand in a record. */
export interface CommonHeaders {
  readonly count: number;
  readonly bytes: Buffer;
}

export const NO_HEADERS: CommonHeaders = { count: 0, bytes: Buffer.alloc(0) };

/** Headers that many messages have in common, written once. */
export function commonHeaders(headers: HeaderList): CommonHeaders {
  const bytes = Buffer.allocUnsafe(maxBytesOf(headers));
  return { count: headers.length / 2, bytes: bytes.subarray(0, writeHeaders(bytes, 0, headers)) };
}

/** The bytes that they take at most. */
export function maxBytesOf(headers: HeaderList): number {
  let most = 0;
  for (const part of headers) most += maxTextBytes(part);
  return most;
}

/** @returns where they end */
export function writeHeaders(into: Buffer, from: number, headers: HeaderList): number {
  let at = from;
  for (const part of headers) at = typeof part === 'string' ? writeText(into, at, part) : writeBytes(into, at, part);
  return at;
}

/** The headers of a message, where they stand in its record. */
export class RecordHeaders {
  private readonly bytes: Buffer;
  private readonly start: number;
  readonly count: number;

  constructor(bytes: Buffer, start: number, count: number) {
    this.bytes = bytes;
    this.start = start;
    this.count = count;
  }

  /** Name and value of each, in their order. @throws RangeError when the record ends too early */
  entries(): readonly (readonly [Buffer | null, Buffer | null])[] {
    const reader = this.reader();
    return Array.from({ length: this.count }, () => [reader.bytes(), reader.bytes()] as const);
  }

  reader(): VarintReader {
    return new VarintReader(this.bytes, this.start);
  }

  /** Whether the bytes from there on are these. */
  has(name: Buffer, at: number): boolean {
    for (let i = name.length - 1; i >= 0; i--) if (this.bytes[at + i] !== name[i]) return false;
    return true;
  }

  text(start: number, end: number): string {
    return this.bytes.toString('utf8', start, end);
  }

  /** A number without a text in between; NaN when the bytes are not digits alone, or too many. */
  number(start: number, end: number): number {
    if (start === end || end - start > SAFE_DIGITS) return Number.NaN;
    let value = 0;
    for (let at = start; at < end; at++) {
      const digit = this.bytes[at]! - ZERO;
      if (digit < 0 || digit > 9) return Number.NaN;
      value = value * 10 + digit;
    }
    return value;
  }
}

const ZERO = 0x30;
/** So many of them are a safe integer, whichever they are. */
const SAFE_DIGITS = 15;

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
export function readHeaders(headers: RecordHeaders): Headers {
  const { count } = headers;
  let reader = headers.reader();
  let passed = 0;
  /** Where the value begins that was found last; it ends before `reader.at`. */
  let start = 0;
  const seek = (name: Buffer): boolean => {
    for (let tried = 0; tried < count; tried++) {
      if (passed === count) {
        reader = headers.reader();
        passed = 0;
      }
      passed += 1;
      const nameLength = reader.next();
      const isIt = nameLength === name.length && headers.has(name, reader.at);
      reader.at += Math.max(0, nameLength);
      const valueLength = Math.max(0, reader.next());
      start = reader.at;
      reader.at += valueLength;
      if (isIt) return true;
    }
    return false;
  };
  const find = (name: Buffer): string | undefined => (seek(name) ? headers.text(start, reader.at) : undefined);
  const need = (name: Buffer): string => {
    const value = find(name);
    if (value === undefined || value === '') throw new DataError(`the message has no header ${name.toString()}`);
    return value;
  };
  const findNumber = (name: Buffer): number | undefined => {
    if (!seek(name)) return undefined;
    const value = headers.number(start, reader.at);
    if (Number.isNaN(value)) throw new DataError(`${name.toString()} is no whole number`);
    return value;
  };
  return {
    find,
    findNumber,
    need,
    number: (name) => {
      const value = findNumber(name);
      if (value === undefined) throw new DataError(`the message has no header ${name.toString()}`);
      return value;
    },
    uuid: (name) => {
      const value = need(name);
      if (!isUuid(value)) throw new DataError(`${name.toString()} is no UUID`);
      return value;
    },
  };
}
