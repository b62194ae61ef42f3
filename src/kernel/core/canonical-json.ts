/**
 * JSON with the keys of every object in code-unit order and no white space: one text for one value, whatever order
 * its keys were written or stored in. Properties that are undefined are left out, as in JSON.stringify.
 * After RFC 8785 (JSON Canonicalization Scheme); numbers and strings are written by JSON.stringify, as it demands.
 */
export function canonicalJson(value: unknown): string {
  if (typeof value === 'string' || typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const record = value as Record<string, unknown>;
  let text = '';
  for (const key of sortedKeys(record)) {
    const item = record[key];
    if (item === undefined) continue;
    text += `${text === '' ? '' : ','}${JSON.stringify(key)}:${canonicalJson(item)}`;
  }
  return `{${text}}`;
}

function sortedKeys(record: Record<string, unknown>): string[] {
  const keys = Object.keys(record);
  for (let i = 1; i < keys.length; i++) {
    if (keys[i - 1]! > keys[i]!) return keys.sort();
  }
  return keys;
}
