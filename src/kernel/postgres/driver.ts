import pg from 'pg';

/** 100 connections are the default of PostgreSQL; a process takes a small, named share of them. */
export const CONNECT_TIMEOUT_MS = 5000;
/**
 * A transaction that PostgreSQL waits so long for is ended, milliseconds. Who froze or was cut off in the middle of one would
 * otherwise keep its locks, and with them its partitions, until PostgreSQL finds the connection dead: after hours.
 */
export const STALLED_TRANSACTION_MS = 10_000;

const INT8 = 20;
const TIMESTAMPTZ = 1184;

/** Parsers of our own: bigint as a safe integer, timestamptz as milliseconds. The rest are the driver's. */
export const typeParsers: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') => {
    if (oid === INT8) return parseSafeInteger;
    if (oid === TIMESTAMPTZ) return parseTimestamp;
    return pg.types.getTypeParser(oid, format as 'text');
  }) as pg.CustomTypesConfig['getTypeParser'],
};

function parseSafeInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`${text} is past 2^53: read this column as text`);
  return value;
}

/** `2026-11-22 02:10:11.5+00`, as sessions in UTC give it, made what Date.parse is specified for. */
function parseTimestamp(text: string): number {
  return Date.parse(`${text.slice(0, 10)}T${text.slice(11, -3)}Z`);
}

/** What every connection is opened with. Sessions run in UTC so that texts of times are the same everywhere. */
export function connectionOptions(url: string, applicationName: string): pg.ClientConfig {
  return {
    connectionString: url,
    application_name: applicationName,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    types: typeParsers,
    options: '-c timezone=UTC -c client_min_messages=warning',
  };
}
