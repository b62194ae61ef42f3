/**
 * JSON with the keys of every object in code-unit order and no white space: one text for one value, whatever order
 * its keys were written or stored in. Properties that are undefined are left out, as in JSON.stringify.
 * After RFC 8785 (JSON Canonicalization Scheme); numbers and strings are written by JSON.stringify, as it demands.
 */
export function canonicalJson(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  return isCanonical(value) ? JSON.stringify(value) : JSON.stringify(sorted(value));
}

/** True for a flat object whose keys stand in order: most events, since `arrange` makes them so. */
function isCanonical(record: object): boolean {
  let previous = '';
  for (const key in record) {
    if (key < previous || typeof (record as Record<string, unknown>)[key] === 'object') return false;
    previous = key;
  }
  return true;
}

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(sorted);
  const record = value as Record<string, unknown>;
  const result: Record<string, unknown> = Object.create(null);
  for (const key of Object.keys(record).sort()) result[key] = sorted(record[key]);
  return result;
}

/**
 * The object with its top-level properties in the order of `names`, those that are undefined left out. Names that are
 * not in the list are lost.
 */
export function arrange(record: Readonly<Record<string, unknown>>, names: readonly string[]): object {
  const result: Record<string, unknown> = {};
  for (const name of names) {
    const value = record[name];
    if (value !== undefined) result[name] = value;
  }
  return result;
}
