/** Reads what Kafka's protocol writes as zigzag numbers of variable length, and what stands behind its length. */
export class VarintReader {
  private readonly from: Buffer;
  /** Where the next read begins. */
  at: number;

  constructor(from: Buffer, at = 0) {
    this.from = from;
    this.at = at;
  }

  /** @throws RangeError when the bytes end before the number does */
  next(): number {
    let value = 0;
    let factor = 1;
    for (;;) {
      const byte = this.from[this.at++];
      if (byte === undefined) throw new RangeError('a record ends too early');
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
      factor *= 0x80;
    }
  }

  /** Not a copy. @throws RangeError when they end too early */
  bytes(): Buffer | null {
    const length = this.next();
    if (length < 0) return null;
    const start = this.at;
    this.at += length;
    if (this.at > this.from.length) throw new RangeError('a record ends too early');
    return this.from.subarray(start, this.at);
  }
}

/** A number in 32 bits, in UTF-8 a character of UTF-16. */
export const MAX_VARINT = 5;
const MAX_CHARACTER = 3;

/** The bytes that `writeText` takes at most. */
export function maxTextBytes({ length }: { readonly length: number }): number {
  return MAX_VARINT + length * MAX_CHARACTER;
}

/** Bytes behind their length. @returns where it ends */
export function writeBytes(into: Buffer, at: number, bytes: Buffer): number {
  const from = writeVarint(into, at, bytes.length);
  into.set(bytes, from);
  return from + bytes.length;
}

/** Before a text stands how many bytes it takes, which is known when it is written: mostly as many as it has characters. @returns where it ends */
export function writeText(into: Buffer, at: number, text: string): number {
  const guessed = varintSize(text.length);
  const bytes = into.write(text, at + guessed);
  const size = varintSize(bytes);
  if (size !== guessed) into.copyWithin(at + size, at + guessed, at + guessed + bytes);
  return writeVarint(into, at, bytes) + bytes;
}

/** Numbers near zero are short, whatever their sign: zigzag. Beyond 32 bits too, where the client is wrong. */
function zigzag(value: number): number {
  return value >= 0 ? value * 2 : value * -2 - 1;
}

/** The bytes that `writeVarint` takes for a number. */
export function varintSize(value: number): number {
  let size = 1;
  for (let left = zigzag(value); left >= 0x80; left = Math.floor(left / 0x80)) size += 1;
  return size;
}

/** A whole number, seven bits a byte, as `VarintReader` reads it. @returns where it ends */
export function writeVarint(into: Buffer, from: number, value: number): number {
  let at = from;
  let left = zigzag(value);
  for (; left >= 0x80; left = Math.floor(left / 0x80)) into[at++] = (left % 0x80) | 0x80;
  into[at++] = left;
  return at;
}
