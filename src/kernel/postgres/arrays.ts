import { DataError } from '../core/errors.ts';
import type { ColumnType } from '../core/table.ts';

/**
 * Arrays in PostgreSQL's binary wire format, so that a batch of rows travels as one parameter per column: no escaping
 * here and no parsing there. Format: src/backend/utils/adt/arrayfuncs.c (array_recv): dimensions, has-nulls flag,
 * element type, then length and lower bound of the dimension, then each element with its length (-1: null).
 */
const HEADER_BYTES = 20;
/** Milliseconds from 1970-01-01 to 2000-01-01, PostgreSQL's epoch. */
const PG_EPOCH_MS = 946_684_800_000;
const JSONB_VERSION = 1;

interface Codec {
  readonly oid: number;
  /** Bytes of every element, or undefined when they differ. */
  readonly width?: number;
  write(buffer: Buffer, at: number, value: never): void;
  /** A text whose UTF-8 bytes are the element, for codecs without a width. */
  textOf?(value: never): string;
  readonly prefix?: number;
}

const CODECS: Readonly<Record<ColumnType | 'bytea' | 'smallint', Codec>> = {
  uuid: { oid: 2950, width: 16, write: (buffer, at, value: string) => writeUuid(buffer, at, value) },
  bigint: { oid: 20, width: 8, write: (buffer, at, value: number) => writeInt64(buffer, at, value) },
  integer: {
    oid: 23,
    width: 4,
    write: (buffer, at, value: number) => void buffer.writeInt32BE(whole(value, 0x7fff_ffff), at),
  },
  smallint: {
    oid: 21,
    width: 2,
    write: (buffer, at, value: number) => void buffer.writeInt16BE(whole(value, 0x7fff), at),
  },
  boolean: { oid: 16, width: 1, write: (buffer, at, value: boolean) => void buffer.writeUInt8(value ? 1 : 0, at) },
  timestamptz: {
    oid: 1184,
    width: 8,
    write: (buffer, at, value: number) => writeTime(buffer, at, value),
  },
  bytea: { oid: 17, width: 32, write: (buffer, at, value: string) => void buffer.write(value, at, 32, 'hex') },
  text: { oid: 25, write: () => undefined, textOf: (value: string) => value },
  jsonb: {
    oid: 3802,
    write: () => undefined,
    textOf: (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value)),
    prefix: JSONB_VERSION,
  },
};

/** The kinds of array that can be encoded; `bytea` elements are hashes, 64 hex digits; `jsonb` strings are JSON text. */
export type ArrayType = keyof typeof CODECS;

/**
 * One column of a batch as a binary array parameter. Null and undefined become NULL.
 * @throws DataError when a value is not of the type
 */
export function encodeArray(type: ArrayType, values: readonly unknown[]): Buffer {
  const codec = CODECS[type];
  const buffer = codec.width === undefined ? encodeTexts(codec, values) : encodeFixed(codec, codec.width, values);
  buffer.writeInt32BE(1, 0);
  buffer.writeInt32BE(values.includes(null) || values.includes(undefined) ? 1 : 0, 4);
  buffer.writeInt32BE(codec.oid, 8);
  buffer.writeInt32BE(values.length, 12);
  buffer.writeInt32BE(1, 16);
  return buffer;
}

function encodeFixed(codec: Codec, width: number, values: readonly unknown[]): Buffer {
  let present = 0;
  for (const value of values) if (value !== null && value !== undefined) present++;
  const buffer = Buffer.allocUnsafe(HEADER_BYTES + values.length * 4 + present * width);
  let at = HEADER_BYTES;
  for (const value of values) {
    if (value === null || value === undefined) {
      at = buffer.writeInt32BE(-1, at);
      continue;
    }
    at = buffer.writeInt32BE(width, at);
    codec.write(buffer, at, value as never);
    at += width;
  }
  return buffer;
}

function encodeTexts(codec: Codec, values: readonly unknown[]): Buffer {
  const prefixBytes = codec.prefix === undefined ? 0 : 1;
  const texts = values.map((value) =>
    value === null || value === undefined ? undefined : codec.textOf!(value as never),
  );
  let most = HEADER_BYTES;
  for (const text of texts) most += 4 + prefixBytes + (text === undefined ? 0 : text.length * 3);
  const buffer = Buffer.allocUnsafe(most);
  let at = HEADER_BYTES;
  for (const text of texts) {
    if (text === undefined) {
      at = buffer.writeInt32BE(-1, at);
      continue;
    }
    const start = at + 4 + prefixBytes;
    const bytes = buffer.write(text, start, 'utf8');
    buffer.writeInt32BE(bytes + prefixBytes, at);
    if (prefixBytes === 1) buffer[at + 4] = codec.prefix!;
    at = start + bytes;
  }
  return buffer.subarray(0, at);
}

function writeUuid(buffer: Buffer, at: number, uuid: string): void {
  const hex = uuid.slice(0, 8) + uuid.slice(9, 13) + uuid.slice(14, 18) + uuid.slice(19, 23) + uuid.slice(24);
  if (buffer.write(hex, at, 16, 'hex') !== 16)
    throw new DataError(`${JSON.stringify(uuid.slice(0, 50))} is not a UUID`);
}

function writeInt64(buffer: Buffer, at: number, value: number): void {
  const high = Math.floor(whole(value, Number.MAX_SAFE_INTEGER) / 0x1_0000_0000);
  buffer.writeInt32BE(high, at);
  buffer.writeUInt32BE(value - high * 0x1_0000_0000, at + 4);
}

/** Microseconds since 2000; a time after 2285 has more of them than a double counts one by one. */
function writeTime(buffer: Buffer, at: number, value: number): void {
  const micros = (value - PG_EPOCH_MS) * 1000;
  if (Number.isSafeInteger(micros)) writeInt64(buffer, at, micros);
  else buffer.writeBigInt64BE(BigInt(whole(value, Number.MAX_SAFE_INTEGER) - PG_EPOCH_MS) * 1000n, at);
}

/** Buffers write what is left of a value that does not fit, without a word. */
function whole(value: number, max: number): number {
  if (!Number.isInteger(value) || Math.abs(value) > max) throw new DataError(`${value} is not an integer up to ${max}`);
  return value;
}
