import type { Result } from './result.ts';
import { accept, refuse } from './result.ts';

/** An amount in the smallest unit of its currency (cents, yen): a safe integer. */
export type MinorUnits = number;

/** No single amount may be larger: 2^53 - 1 minor units, the largest integer that a double holds exactly. */
export const MAX_AMOUNT_MINOR = Number.MAX_SAFE_INTEGER;

/** Codes of ISO 4217:2015 (active, with amendments to 2025) by their number of decimals. */
const CODES_BY_DECIMALS: Readonly<Record<number, string>> = {
  0: 'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF',
  2: `AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE
      CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR
      KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB
      PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY
      TTD TWD TZS UAH USD UYU UZS VES WST XCD XCG YER ZAR ZMW ZWG`,
  3: 'BHD IQD JOD KWD LYD OMR TND',
  4: 'CLF UYW',
};

const DECIMALS: ReadonlyMap<string, number> = new Map(
  Object.entries(CODES_BY_DECIMALS).flatMap(([decimals, codes]) =>
    codes.split(/\s+/).map((code) => [code, Number(decimals)] as const),
  ),
);

/** Every currency code that amounts may be in, sorted. */
export const CURRENCIES: readonly string[] = [...DECIMALS.keys()].sort();

/** How many decimals the currency has, or undefined when the code is unknown. */
export function currencyDecimals(currency: string): number | undefined {
  return DECIMALS.get(currency);
}

/** The largest double has 309 digits before the point. */
const DECIMAL_TEXT = /^(-?)(\d{1,309})(?:\.(\d{1,40}))?$/;

/**
 * Reads an amount in major units exactly.
 * @param input a finite JSON number or a decimal string, such as 100.5 or "100.50"
 * @param currency an ISO 4217 code
 * @returns minor units > 0; refusals: `unknown_currency`, `invalid_amount`, `amount_not_positive`, `amount_too_precise`,
 *   `amount_too_large`
 */
export function parseAmount(input: unknown, currency: string): Result<MinorUnits> {
  const parsed = parseDecimal(input, currency);
  if (!parsed.ok) return parsed;
  if (parsed.value <= 0)
    return refuse('amount_not_positive', `amount must be greater than zero, not ${String(input)}`, 'amount');
  return parsed;
}

/**
 * Reads an amount that may also be zero, such as an overdraft limit. Otherwise as `parseAmount`.
 * @param field the name of the field in the refusal
 */
export function parseLimit(input: unknown, currency: string, field: string): Result<MinorUnits> {
  const parsed = parseDecimal(input, currency);
  if (!parsed.ok)
    return parsed.refusal.field === 'amount' ? { ok: false, refusal: { ...parsed.refusal, field } } : parsed;
  if (parsed.value < 0) return refuse('invalid_amount', `${field} must not be negative`, field);
  return parsed;
}

function parseDecimal(input: unknown, currency: string): Result<MinorUnits> {
  const decimals = DECIMALS.get(currency);
  if (decimals === undefined) {
    return refuse(
      'unknown_currency',
      `currency must be an ISO 4217 code such as "USD", not ${quote(currency)}`,
      'currency',
    );
  }
  const text = typeof input === 'number' ? plainDecimal(input) : input;
  const match = typeof text === 'string' ? DECIMAL_TEXT.exec(text) : null;
  if (match === null) {
    return refuse('invalid_amount', `amount must be a decimal number such as 100.50, not ${quote(input)}`, 'amount');
  }
  const fraction = (match[3] ?? '').replace(/0+$/, '');
  if (fraction.length > decimals) {
    return refuse('amount_too_precise', `${currency} has ${decimals} decimals; ${String(input)} has more`, 'amount');
  }
  const minor = BigInt(match[2]! + fraction.padEnd(decimals, '0'));
  if (minor > BigInt(MAX_AMOUNT_MINOR)) {
    return refuse(
      'amount_too_large',
      `amount must not exceed ${formatAmount(MAX_AMOUNT_MINOR, currency)} ${currency}`,
      'amount',
    );
  }
  return accept(match[1] === '-' ? -Number(minor) : Number(minor));
}

/** A double as plain decimal text, without an exponent; undefined when it is not finite. */
function plainDecimal(value: number): string | undefined {
  if (!Number.isFinite(value)) return undefined;
  const text = String(value);
  if (!text.includes('e')) return text;
  return Math.abs(value) >= 1 ? BigInt(value).toString() : value.toFixed(20);
}

function quote(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 40)) : String(value).slice(0, 40);
}

/** Minor units as an exact decimal string in major units: 10050 USD → "100.50". */
export function formatAmount(minor: MinorUnits | bigint, currency: string): string {
  const decimals = DECIMALS.get(currency) ?? 2;
  const negative = minor < 0;
  const digits = (negative ? -minor : minor).toString().padStart(decimals + 1, '0');
  const whole = digits.slice(0, digits.length - decimals);
  return (negative ? '-' : '') + (decimals === 0 ? whole : `${whole}.${digits.slice(-decimals)}`);
}

const POWERS_OF_TEN = [1, 10, 100, 1000, 10_000];

/**
 * Minor units as the JSON number of the major unit: 10050 USD → 100.5. The nearest double: exact to the last decimal up
 * to 10^15 minor units; beyond that the exact value is the integer beside it.
 */
export function toMajor(minor: MinorUnits, currency: string): number {
  return minor / POWERS_OF_TEN[DECIMALS.get(currency) ?? 2]!;
}
