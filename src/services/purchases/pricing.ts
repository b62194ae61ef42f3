import { setTimeout as sleep } from 'node:timers/promises';
import { formatAmount, MAX_AMOUNT_MINOR, parseAmount } from '#kernel/core/money.ts';
import { amountProblem } from '#kernel/http/money-input.ts';
import { type FieldProblem, InvalidInputError } from '#kernel/http/validation.ts';
import type { Lookup } from '#kernel/postgres/lookup.ts';
import type { CreatePurchase, Units } from './decider.ts';
import type { OfferRow } from './projections.ts';

/** What a client wants of one product. */
export interface LineInput extends Units {
  /** The product as the client named it. */
  readonly asked: string;
  /** As the client sent it. */
  readonly expectedPrice?: unknown;
}

type Priced = Pick<CreatePurchase, 'lines' | 'currency'>;

/** What the catalog has just told is known here after a moment: so long is it waited for before each further look, milliseconds. */
const LOOK_AGAIN_MS: readonly number[] = [20, 40, 80, 160, 320, 640, 1280];

/** What may be right a moment later. */
const MAY_PASS: ReadonlySet<string> = new Set(['product_unknown', 'product_not_for_sale', 'price_changed']);

/**
 * The lines of a purchase with what they cost now.
 * @throws InvalidInputError with every line that cannot be sold
 */
export async function priceLines(lines: readonly LineInput[], offersOf: Lookup<OfferRow>): Promise<Priced> {
  const ids = lines.map(({ productId }) => productId);
  for (let look = 0; ; look++) {
    const offers = await offersOf(ids);
    const problems = problemsOf(lines, offers);
    if (problems.length === 0) return pricedBy(offers, lines);
    const wait = LOOK_AGAIN_MS[look];
    if (wait === undefined || !problems.every(({ code }) => MAY_PASS.has(code))) throw new InvalidInputError(problems);
    await sleep(wait);
  }
}

function problemsOf(lines: readonly LineInput[], offers: ReadonlyMap<string, OfferRow>): readonly FieldProblem[] {
  const problems = lines.flatMap((line, i) => lineProblems(line, `lines.${i}`, offers.get(line.productId)));
  if (problems.length > 0) return problems;
  const currencies = new Set(lines.map(({ productId }) => offers.get(productId)!.currency));
  if (currencies.size > 1) {
    const message = `the products have prices in ${[...currencies].sort().join(' and ')}: buy them apart`;
    return [{ field: 'lines', code: 'currencies_mixed', message }];
  }
  const total = lines.reduce(
    (sum, line) => sum + BigInt(line.quantity) * BigInt(offers.get(line.productId)!.price_minor),
    0n,
  );
  if (total <= MAX_AMOUNT_MINOR) return [];
  return [{ field: 'lines', code: 'amount_too_large', message: 'the sum of the lines is past 2^53 minor units' }];
}

function lineProblems(line: LineInput, at: string, offer: OfferRow | undefined): readonly FieldProblem[] {
  const field = `${at}.product_id`;
  if (offer === undefined) return [{ field, code: 'product_unknown', message: `there is no product ${line.asked}` }];
  if (offer.status !== 'ACTIVE') {
    const message = `${offer.sku} is not sold at present: it is ${offer.status}`;
    return [{ field, code: 'product_not_for_sale', message }];
  }
  return priceProblems(line, `${at}.unit_price`, offer);
}

function priceProblems({ expectedPrice }: LineInput, field: string, offer: OfferRow): readonly FieldProblem[] {
  if (expectedPrice === undefined) return [];
  const { sku, price_minor, currency } = offer;
  const parsed = parseAmount(expectedPrice, currency);
  if (!parsed.ok) return [{ ...amountProblem(parsed.refusal), field }];
  if (parsed.value === price_minor) return [];
  const message = `${sku} costs ${formatAmount(price_minor, currency)} ${currency}, not ${formatAmount(parsed.value, currency)}`;
  return [{ field, code: 'price_changed', message }];
}

function pricedBy(offers: ReadonlyMap<string, OfferRow>, lines: readonly LineInput[]): Priced {
  const currency = offers.get(lines[0]!.productId)!.currency;
  const priced = lines.map(({ productId, quantity }) => {
    const { sku, name, price_minor } = offers.get(productId)!;
    return { productId, sku, name, quantity, unitPriceMinor: price_minor };
  });
  return { currency, lines: priced };
}
