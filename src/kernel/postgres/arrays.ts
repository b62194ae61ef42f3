import { DataError } from '../core/errors.ts';
import type { ColumnType } from '../core/table.ts';

/**
 * Arrays in PostgreSQL's binary wire format, so that a batch of rows travels as one parameter per column: no escaping
 * here and no parsing there. Format: src/backend/utils/adt/arrayfuncs.c (array_recv): dimensions, has-nulls flag,
 * element type, then length and lower bound of the dimension, then each element with its length (-1: null).
 */
const HEADER_BYTES = 20;
const LENGTH_BYTES = 4;
/** Milliseconds from 1970-01-01 to 2000-01-01, PostgreSQL's epoch. */
const PG_EPOCH_MS = 946_684_800_000;
const JSONB_VERSION = '\u0001';
const NO_LENGTH_YET = '\u0000\u0000\u0000\u0000';

interface FixedCodec {
  readonly oid: number;
  /** Bytes of every element. */
  readonly width: number;
  write(view: DataView, at: number, value: never): void;
}

interface TextCodec {
  readonly oid: number;
  /** What stands before the text of each element. */
  readonly prefix: string;
  textOf(value: never): string;
}

const FIXED: Readonly<Record<Exclude<ColumnType, 'text' | 'jsonb'> | 'bytea' | 'smallint', FixedCodec>> = {
  uuid: { oid: 2950, width: 16, write: writeUuid },
  bigint: { oid: 20, width: 8, write: writeInt64 },
  integer: { oid: 23, width: 4, write: (view, at, value: number) => view.setInt32(at, whole(value, 0x7fff_ffff)) },
  smallint: { oid: 21, width: 2, write: (view, at, value: number) => view.setInt16(at, whole(value, 0x7fff)) },
  boolean: { oid: 16, width: 1, write: (view, at, value: boolean) => view.setUint8(at, value ? 1 : 0) },
  timestamptz: { oid: 1184, width: 8, write: writeTime },
  bytea: { oid: 17, width: 32, write: writeHash },
};

const TEXTS: Readonly<Record<'text' | 'jsonb', TextCodec>> = {
  text: { oid: 25, prefix: '', textOf: (value: string) => value },
  jsonb: {
    oid: 3802,
    prefix: JSONB_VERSION,
    textOf: (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value)),
  },
};

/** The kinds of array that can be encoded; `bytea` elements are hashes, 64 hex digits; `jsonb` strings are JSON text. */
export type ArrayType = keyof typeof FIXED | keyof typeof TEXTS;

/**
 * One column of a batch as a binary array parameter. Null and undefined become NULL.
 * @throws DataError when a value is not of the type
 */
export function encodeArray(type: ArrayType, values: readonly unknown[]): Buffer {
  return type === 'text' || type === 'jsonb' ? encodeTexts(TEXTS[type], values) : encodeFixed(FIXED[type], values);
}

function encodeFixed({ oid, width, write }: FixedCodec, values: readonly unknown[]): Buffer {
  const buffer = Buffer.allocUnsafe(HEADER_BYTES + values.length * (LENGTH_BYTES + width));
  const view = viewOf(buffer);
  let nulls = false;
  let at = HEADER_BYTES;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value === null || value === undefined) {
      nulls = true;
      view.setInt32(at, -1);
      at += LENGTH_BYTES;
      continue;
    }
    view.setInt32(at, width);
    write(view, at + LENGTH_BYTES, value as never);
    at += LENGTH_BYTES + width;
  }
  writeHeader(view, oid, values.length, nulls);
  return buffer.subarray(0, at);
}

/**
 * The whole column becomes one text with room for each length, encoded in one call: a call for each element takes longer
 * than all the rest. The lengths are known beforehand where all is ASCII, as it nearly always is.
 */
function encodeTexts(codec: TextCodec, values: readonly unknown[]): Buffer {
  const gap = NO_LENGTH_YET + codec.prefix;
  const lengths: number[] = new Array(values.length);
  let column = '';
  let nulls = false;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value === null || value === undefined) {
      nulls = true;
      lengths[i] = -1;
      column += NO_LENGTH_YET;
      continue;
    }
    const text = codec.textOf(value as never);
    lengths[i] = text.length;
    column += gap + text;
  }
  const bytes = Buffer.byteLength(column);
  if (bytes !== column.length) measureTexts(codec, values, lengths);
  const buffer = Buffer.allocUnsafe(HEADER_BYTES + bytes);
  buffer.write(column, HEADER_BYTES, bytes === column.length ? 'latin1' : 'utf8');
  const view = viewOf(buffer);
  let at = HEADER_BYTES;
  for (const length of lengths) {
    const width = length < 0 ? 0 : codec.prefix.length + length;
    view.setInt32(at, length < 0 ? -1 : width);
    at += LENGTH_BYTES + width;
  }
  writeHeader(view, codec.oid, values.length, nulls);
  return buffer;
}

function measureTexts(codec: TextCodec, values: readonly unknown[], lengths: number[]): void {
  for (let i = 0; i < values.length; i++)
    if (lengths[i]! > 0) lengths[i] = Buffer.byteLength(codec.textOf(values[i] as never));
}

function viewOf(buffer: Buffer): DataView {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
}

function writeHeader(view: DataView, oid: number, count: number, nulls: boolean): void {
  view.setInt32(0, 1);
  view.setInt32(4, nulls ? 1 : 0);
  view.setInt32(8, oid);
  view.setInt32(12, count);
  view.setInt32(16, 1);
}

/** The value of each hex digit by its code; 16 for what is none. */
const HEX_VALUES = Uint8Array.from({ length: 128 }, (_, code) => {
  const value = Number.parseInt(String.fromCharCode(code), 16);
  return Number.isNaN(value) ? 16 : value;
});

/** Writes the hex digits of `text` from `from` to `to`, two a byte. @returns false when there is something else among them */
function writeHex(view: DataView, at: number, text: string, from: number, to: number): boolean {
  let good = true;
  for (let i = from; i < to; i += 2) {
    const high = HEX_VALUES[text.charCodeAt(i)] ?? 16;
    const low = HEX_VALUES[text.charCodeAt(i + 1)] ?? 16;
    if (high === 16 || low === 16) good = false;
    view.setUint8(at++, (high << 4) | low);
  }
  return good;
}

function writeUuid(view: DataView, at: number, uuid: string): void {
  const good =
    uuid.length === 36 &&
    writeHex(view, at, uuid, 0, 8) &&
    writeHex(view, at + 4, uuid, 9, 13) &&
    writeHex(view, at + 6, uuid, 14, 18) &&
    writeHex(view, at + 8, uuid, 19, 23) &&
    writeHex(view, at + 10, uuid, 24, 36);
  if (!good) throw new DataError(`${JSON.stringify(uuid.slice(0, 50))} is not a UUID`);
}

function writeHash(view: DataView, at: number, hash: string): void {
  if (hash.length !== 64 || !writeHex(view, at, hash, 0, 64))
    throw new DataError(`${JSON.stringify(hash.slice(0, 80))} is not a SHA-256 in hex`);
}

function writeInt64(view: DataView, at: number, value: number): void {
  const high = Math.floor(whole(value, Number.MAX_SAFE_INTEGER) / 0x1_0000_0000);
  view.setInt32(at, high);
  view.setUint32(at + 4, value - high * 0x1_0000_0000);
}

/** Microseconds since 2000; a time after 2285 has more of them than a double counts one by one. */
function writeTime(view: DataView, at: number, value: number): void {
  const micros = (value - PG_EPOCH_MS) * 1000;
  if (Number.isSafeInteger(micros)) writeInt64(view, at, micros);
  else view.setBigInt64(at, BigInt(whole(value, Number.MAX_SAFE_INTEGER) - PG_EPOCH_MS) * 1000n);
}

/** A view writes what is left of a value that does not fit, without a word. */
function whole(value: number, max: number): number {
  if (!Number.isInteger(value) || Math.abs(value) > max) throw new DataError(`${value} is not an integer up to ${max}`);
  return value;
}
