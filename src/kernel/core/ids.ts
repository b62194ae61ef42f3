import { hash, randomFillSync } from 'node:crypto';
import type { Clock } from './clock.ts';
import { systemClock } from './clock.ts';

/** Where identities come from; a simulator passes a seeded one. */
export interface IdSource {
  /** A new UUIDv7 (RFC 9562 §5.7): ordered by time, so that indexes grow at one end. */
  uuid(): string;
  /** 32 lower-case hex digits: a W3C trace id. */
  traceId(): string;
}

const DIGITS = '0123456789abcdef';
const POOL_BYTES = 8192;
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
/** The two highest bits of the variant's digit are fixed: RFC 9562 §4.1. */
const VARIANTS = ['8', '9', 'a', 'b'];
const UUID_PATTERN = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** True for the canonical lower-case text form of a UUID, of any version. */
export function isUuid(text: string): boolean {
  return UUID_PATTERN.test(text);
}

/**
 * The time inside a UUIDv7, in milliseconds since 1970, or undefined when the id is of another version.
 * Source: RFC 9562 §5.7, the first 48 bits.
 */
export function uuidTime(id: string): number | undefined {
  if (id.charCodeAt(14) !== 0x37) return undefined;
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}

/** The smallest UUIDv7 of a moment (milliseconds since 1970): a lower bound for searches by time. */
export function uuidFloor(time: number): string {
  const hex = Math.max(0, Math.floor(time)).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`;
}

/**
 * A UUID that is a function of its parts (RFC 9562 §5.8, version 8, SHA-256 of the parts): the same parts give the
 * same id everywhere, which makes it a natural key. Parts are joined by a character that cannot occur in them.
 */
export function namedUuid(...parts: readonly string[]): string {
  const hex = hash('sha256', parts.join('\u0000'), 'hex');
  const variant = VARIANTS[Number.parseInt(hex[16]!, 16) & 3]!;
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/**
 * An id source of the given clock; ids of one source never go backwards.
 * @param fill fills an array with random bytes: the operating system's, or a simulation's
 */
export function createIdSource(
  clock: Clock = systemClock,
  fill: (bytes: Uint8Array) => void = (bytes) => void randomFillSync(bytes),
): IdSource {
  const pool = new Uint8Array(POOL_BYTES);
  let used = POOL_BYTES;
  let lastTime = 0;
  let timeDigits = '';
  let counter = 0;
  const take = (bytes: number): number => {
    if (used + bytes > POOL_BYTES) {
      fill(pool);
      used = 0;
    }
    used += bytes;
    return used - bytes;
  };
  const hexOf = (from: number, to: number): string => {
    let hex = '';
    for (let i = from; i < to; i++) hex += HEX[pool[i]!];
    return hex;
  };
  const enter = (time: number): void => {
    lastTime = time;
    counter = 0;
    const hex = time.toString(16).padStart(12, '0');
    timeDigits = `${hex.slice(0, 8)}-${hex.slice(8)}-7`;
  };
  return {
    uuid: () => {
      const now = clock.now();
      if (now > lastTime) enter(now);
      else if (++counter > 0xfff) enter(lastTime + 1);
      const at = take(9);
      const sequence = HEX[counter >> 4]! + DIGITS[counter & 0xf]!;
      const variant = VARIANTS[pool[at]! & 3]! + DIGITS[pool[at + 1]! & 0xf]!;
      return `${timeDigits}${sequence}-${variant}${HEX[pool[at + 2]!]}-${hexOf(at + 3, at + 9)}`;
    },
    traceId: () => {
      const at = take(16);
      return hexOf(at, at + 16);
    },
  };
}
