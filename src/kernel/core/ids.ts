import { createHash, randomFillSync } from 'node:crypto';
import type { Clock } from './clock.ts';
import { systemClock } from './clock.ts';

/** Where identities come from; a simulator passes a seeded one. */
export interface IdSource {
  /** A new UUIDv7 (RFC 9562 §5.7): ordered by time, so that indexes grow at one end. */
  uuid(): string;
  /** 32 lower-case hex digits: a W3C trace id. */
  traceId(): string;
}

const POOL_BYTES = 8192;
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));
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
  const digest = createHash('sha256').update(parts.join('\u0000')).digest();
  digest[6] = (digest[6]! & 0x0f) | 0x80;
  digest[8] = (digest[8]! & 0x3f) | 0x80;
  return formatUuid(digest, 0);
}

/** An id source of the operating system's randomness and the given clock; ids of one source never go backwards. */
export function createIdSource(clock: Clock = systemClock): IdSource {
  const pool = new Uint8Array(POOL_BYTES);
  let used = POOL_BYTES;
  let lastTime = 0;
  let counter = 0;
  const take = (bytes: number): number => {
    if (used + bytes > POOL_BYTES) {
      randomFillSync(pool);
      used = 0;
    }
    used += bytes;
    return used - bytes;
  };
  return {
    uuid: () => {
      const now = clock.now();
      if (now > lastTime) {
        lastTime = now;
        counter = 0;
      } else if (++counter > 0xfff) {
        lastTime += 1;
        counter = 0;
      }
      return formatUuidV7(lastTime, counter, pool, take(8));
    },
    traceId: () => {
      const at = take(16);
      let hex = '';
      for (let i = 0; i < 16; i++) hex += HEX[pool[at + i]!];
      return hex;
    },
  };
}

function formatUuidV7(time: number, counter: number, random: Uint8Array, at: number): string {
  const hex = time.toString(16).padStart(12, '0');
  const variant = (random[at]! & 0x3f) | 0x80;
  let tail = '';
  for (let i = 2; i < 8; i++) tail += HEX[random[at + i]!];
  const sequence = counter.toString(16).padStart(3, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7${sequence}-${HEX[variant]}${HEX[random[at + 1]!]}-${tail}`;
}

function formatUuid(bytes: Uint8Array, at: number): string {
  let text = '';
  for (let i = 0; i < 16; i++) {
    text += HEX[bytes[at + i]!];
    if (i === 3 || i === 5 || i === 7 || i === 9) text += '-';
  }
  return text;
}
