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
