import { styleText } from 'node:util';
import { formatAmount } from '#kernel/core/money.ts';

type Style = Parameters<typeof styleText>[0];

/** A column of a table for people. */
export interface Column<T> {
  readonly title: string;
  readonly value: (row: T) => string | number | null | undefined;
  readonly align?: 'right';
  /** How the cell is shown on a terminal; undefined: plainly. */
  readonly style?: (row: T) => Style | undefined;
}

/** Writes the value as JSON, one document. */
export function printJson(value: unknown): void {
  console.log(JSON.stringify(value, jsonValue, 2));
}

/** Writes the value as one line of JSON. */
export function printJsonLine(value: unknown): void {
  console.log(JSON.stringify(value, jsonValue));
}

function jsonValue(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}

/** Writes a table; `empty` when there are no rows. */
export function printTable<T>(rows: readonly T[], columns: readonly Column<T>[], empty: string): void {
  console.log(rows.length === 0 ? empty : formatTable(rows, columns));
}

/** The rows below their titles, columns lined up. Colours only where a terminal shows them. */
export function formatTable<T>(rows: readonly T[], columns: readonly Column<T>[]): string {
  const cells = rows.map((row) => columns.map((column) => text(column.value(row))));
  const widths = columns.map((column, i) => Math.max(column.title.length, ...cells.map((line) => line[i]!.length)));
  const place = (value: string, i: number): string =>
    columns[i]!.align === 'right' ? value.padStart(widths[i]!) : value.padEnd(widths[i]!);
  const title = columns.map((column, i) => paint('dim', place(column.title, i)));
  const lines = cells.map((line, r) => line.map((value, i) => paint(columns[i]!.style?.(rows[r]!), place(value, i))));
  return [title, ...lines].map((line) => line.join('  ').trimEnd()).join('\n');
}

/** Writes `name  value` lines, without those that have no value. */
export function printFields(fields: Readonly<Record<string, unknown>>): void {
  const shown = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null && value !== '');
  const width = Math.max(0, ...shown.map(([name]) => name.length));
  for (const [name, value] of shown) console.log(`${paint('dim', name.padEnd(width))}  ${text(value)}`);
}

/** An object of the API with its amounts as exact decimals, `balance: 100.50` instead of `balance` and `balance_minor`. */
export function readableAmounts(object: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { currency } = object;
  const isMinor = (name: string): boolean => name.endsWith(MINOR) && name.slice(0, -MINOR.length) in object;
  const fields = Object.entries(object).filter(([name]) => !isMinor(name));
  return Object.fromEntries(
    fields.map(([name, value]) => {
      const minor = object[name + MINOR];
      return [name, typeof minor === 'number' && typeof currency === 'string' ? formatAmount(minor, currency) : value];
    }),
  );
}

const MINOR = '_minor';

/** The text in a style, where a terminal shows it. */
export function paint(style: Style | undefined, value: string): string {
  return style === undefined ? value : styleText(style, value, { stream: process.stdout });
}

function text(value: unknown): string {
  if (value === null || value === undefined) return '';
  return typeof value === 'object' ? JSON.stringify(value, jsonValue) : String(value);
}

/** An ISO time to the second, `2026-11-22 10:00:00`, UTC; empty for none. */
export function shortTime(time: string | number | null | undefined): string {
  if (time === null || time === undefined) return '';
  return new Date(time).toISOString().slice(0, 19).replace('T', ' ');
}
