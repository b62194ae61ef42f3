import { printFields, printTable } from '../output.ts';
import { CURRENCY, REFUSALS, type Refusal } from './retail-file.ts';
import type { RetailOutcome } from './retail-import.ts';

/** Prints what an import did: every line that was not sold, every changed price, then the sums. */
export function printRetail(outcome: RetailOutcome): void {
  const { refused, price_changes: changes, inexact } = outcome;
  const invoiceLine = [
    { title: 'LINE', value: (row: { line: number }) => row.line, align: 'right' },
    { title: 'INVOICE', value: (row: { invoice: string }) => row.invoice },
    { title: 'CODE', value: (row: { stock_code: string }) => row.stock_code },
  ] as const;
  if (refused.length > 0) {
    console.log('Left out:');
    printTable(
      refused,
      [
        ...invoiceLine,
        { title: 'REASON', value: (row) => row.reason },
        { title: 'DETAIL', value: (row) => row.detail },
      ],
      '',
    );
    console.log();
  }
  if (changes.length > 0) {
    console.log('Sold after the price in the catalog was changed:');
    printTable(
      changes,
      [
        ...invoiceLine,
        { title: 'FROM', value: (row) => row.from, align: 'right' },
        { title: 'TO', value: (row) => row.to, align: 'right' },
      ],
      '',
    );
    console.log();
  }
  for (const [reason, count] of countReasons(outcome)) console.log(`${count} left out: ${REFUSALS[reason]}`);
  printFields({
    invoices: `${outcome.invoices}, of which ${outcome.completed} are purchases; ${outcome.made_before} were made before`,
    cancellations: `${outcome.cancellations}, with ${outcome.lines_returned} lines given back`,
    lines: `${outcome.lines_sold} sold, ${refused.length} left out, ${changes.length} at a changed price`,
    products: outcome.products,
    customers: outcome.customers,
    sold: `${outcome.sold} ${CURRENCY}, of which ${outcome.returned} were given back`,
    balances:
      inexact.length === 0
        ? 'every purchase, all stock and every wallet is exactly as the file says'
        : `not as the file says: ${inexact.join('; ')}`,
  });
}

function countReasons({ refused }: RetailOutcome): readonly (readonly [Refusal, number])[] {
  const counts = new Map<Refusal, number>();
  for (const { reason } of refused) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}
