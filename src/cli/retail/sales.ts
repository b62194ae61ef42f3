import { formatAmount, type MinorUnits } from '#kernel/core/money.ts';
import { CURRENCY, type Invoice, type RefusedLine, type RetailLine } from './retail-file.ts';

/** An invoice that is a purchase, and what of it came back. */
export interface Sale {
  readonly invoice: string;
  readonly customer: string;
  readonly purchaseId: string;
  readonly soldMinor: MinorUnits;
  returnedMinor: MinorUnits;
  /** By SKU: what one unit cost, and how many have not come back. */
  readonly left: ReadonlyMap<string, { readonly priceMinor: MinorUnits; quantity: number }>;
}

/** Units of one sale that come back, by SKU. */
export interface Return {
  readonly sale: Sale;
  readonly units: Map<string, number>;
}

/** A product was sold at another price than before: the catalog was changed first. */
export interface PriceChange {
  readonly line: number;
  readonly invoice: string;
  readonly stock_code: string;
  readonly from: string;
  readonly to: string;
}

/** What the file leads to, as far as it was read. */
export interface Sales {
  readonly all: readonly Sale[];
  /** By SKU: the units that came back, which are all that is left. */
  readonly products: ReadonlyMap<string, number>;
  /** What each customer has left of the money for the invoices: what was given back. */
  customers(): ReadonlyMap<string, MinorUnits>;
  /** The name of a product: what it was called first. */
  nameOf(sku: string, description: string): string;
  /** The lines of an invoice whose price differs from the last one of their product. */
  priceChanges(invoice: Invoice): readonly PriceChange[];
  /** One line for each product. */
  unitsOf(invoice: Invoice): readonly RetailLine[];
  add(invoice: Invoice, purchaseId: string): void;
  /** What a cancellation takes back, of the latest sales first, and its lines for which there is none. */
  returnsOf(cancellation: Invoice): {
    readonly returns: readonly Return[];
    readonly unknown: readonly RefusedLine[];
  };
}

export function createSales(): Sales {
  const all: Sale[] = [];
  const byCustomer = new Map<string, Sale[]>();
  const products = new Map<string, number>();
  const names = new Map<string, string>();
  const prices = new Map<string, MinorUnits>();

  const takeBack = ({ customer, sku, priceMinor, quantity }: RetailLine, returns: Map<Sale, Return>): boolean => {
    const sales = (byCustomer.get(customer) ?? []).filter((sale) => sale.left.get(sku)?.priceMinor === priceMinor);
    const available = sales.reduce((sum, sale) => sum + sale.left.get(sku)!.quantity, 0);
    if (available < quantity) return false;
    let missing = quantity;
    for (const sale of sales.toReversed()) {
      const left = sale.left.get(sku)!;
      const taken = Math.min(missing, left.quantity);
      if (taken === 0) continue;
      const { units } = returns.get(sale) ?? { units: new Map<string, number>() };
      units.set(sku, (units.get(sku) ?? 0) + taken);
      returns.set(sale, { sale, units });
      left.quantity -= taken;
      sale.returnedMinor += taken * priceMinor;
      missing -= taken;
    }
    products.set(sku, (products.get(sku) ?? 0) + quantity);
    return true;
  };

  return {
    all,
    products,
    customers: () => {
      const left = new Map<string, MinorUnits>();
      for (const { customer, returnedMinor } of all) left.set(customer, (left.get(customer) ?? 0) + returnedMinor);
      return left;
    },
    nameOf: (sku, description) => {
      const known = names.get(sku) ?? (description.trim() || sku);
      names.set(sku, known);
      return known;
    },
    priceChanges: ({ lines }) =>
      lines.flatMap(({ line, invoice, sku, priceMinor }) => {
        const before = prices.get(sku) ?? priceMinor;
        prices.set(sku, priceMinor);
        if (before === priceMinor) return [];
        const [from, to] = [before, priceMinor].map((minor) => formatAmount(minor, CURRENCY)) as [string, string];
        return [{ line, invoice, stock_code: sku, from, to }];
      }),
    unitsOf,
    add: (invoice, purchaseId) => {
      const units = unitsOf(invoice);
      const { customer } = units[0]!;
      const left = new Map(units.map(({ sku, priceMinor, quantity }) => [sku, { priceMinor, quantity }]));
      const soldMinor = units.reduce((sum, { priceMinor, quantity }) => sum + priceMinor * quantity, 0);
      const sale: Sale = { invoice: invoice.number, customer, purchaseId, soldMinor, returnedMinor: 0, left };
      all.push(sale);
      byCustomer.set(customer, [...(byCustomer.get(customer) ?? []), sale]);
      for (const { sku } of units) products.set(sku, products.get(sku) ?? 0);
    },
    returnsOf: ({ lines }) => {
      const returns = new Map<Sale, Return>();
      const unknown = lines.filter((line) => !takeBack(line, returns)).map(unknownSale);
      return { returns: [...returns.values()], unknown };
    },
  };
}

function unitsOf({ lines }: Invoice): readonly RetailLine[] {
  const bySku = new Map<string, RetailLine>();
  for (const line of lines) {
    const quantity = line.quantity + (bySku.get(line.sku)?.quantity ?? 0);
    bySku.set(line.sku, { ...line, quantity });
  }
  return [...bySku.values()];
}

function unknownSale({ line, invoice, sku, customer, quantity, priceMinor }: RetailLine): RefusedLine {
  const price = formatAmount(priceMinor, CURRENCY);
  const detail = `customer ${customer} has not bought ${quantity} of ${sku} at ${price} before, or not so many are left`;
  return { line, invoice, stock_code: sku, reason: 'nothing_to_cancel', detail };
}
