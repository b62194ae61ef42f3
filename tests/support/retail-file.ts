import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where the real file is: CAUDAL_RETAIL_FILE, or beside the project; undefined when it is not there. */
export function realRetailFile(): string | undefined {
  const beside = join(import.meta.dirname, '../../../shared/data/retail-invoices.csv');
  return [process.env.CAUDAL_RETAIL_FILE, beside].find((path) => path !== undefined && existsSync(path));
}

interface Line {
  readonly invoice: string;
  readonly code: string;
  readonly quantity: number;
  readonly priceMinor: number;
  readonly customer: string;
}

/** What an import of a file must lead to. Amounts in minor units. */
export interface ExpectedSales {
  /** Invoice → the sum of its lines that can be sold. */
  readonly totals: ReadonlyMap<string, number>;
  readonly linesSold: number;
  readonly lines: number;
}

/** Adds up what can be sold, without anything of the program's own. */
export function addUpSales(path: string): ExpectedSales {
  const lines = readLines(path);
  const totals = new Map<string, number>();
  const priceOf = new Map<string, number>();
  let linesSold = 0;
  for (const { invoice, code, quantity, priceMinor, customer } of lines) {
    if (invoice.startsWith('C') || !/^\d{5}/.test(code) || quantity <= 0 || priceMinor <= 0 || customer === '')
      continue;
    const key = `${invoice} ${code}`;
    // An invoice has a product at one price.
    if ((priceOf.get(key) ?? priceMinor) !== priceMinor) continue;
    priceOf.set(key, priceMinor);
    totals.set(invoice, (totals.get(invoice) ?? 0) + quantity * priceMinor);
    linesSold += 1;
  }
  return { totals, linesSold, lines: lines.length };
}

function readLines(path: string): readonly Line[] {
  return readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .slice(1)
    .map((text) => {
      const [invoice, code, quantity, , price, customer] = cellsOf(text.trim()).filter((_, i) => i !== 2) as [
        ...string[],
      ];
      return {
        invoice: invoice!,
        code: code!,
        quantity: Number(quantity),
        priceMinor: Math.round(Number(price) * 100),
        customer: customer!,
      };
    });
}

/** The cells of a line of CSV; quoted ones may hold commas, and quotes twice over. */
function cellsOf(text: string): readonly string[] {
  return [...text.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
    ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? '',
  );
}
