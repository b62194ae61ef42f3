import { type Checked, invalid, problem, refuse } from './http.ts';
import { DEFAULT_TOKEN, TOKENS, type Token } from './tokens.ts';

const MAX_TEXT = 255;

export interface ChargeInput {
  readonly amountMinor: number;
  readonly currency: string;
  readonly reference: string;
  readonly token: Token;
}

export interface RefundInput {
  readonly amountMinor: number;
  readonly currency: string;
  readonly reference: string;
  readonly chargeId: string | undefined;
  readonly chargeReference: string | undefined;
}

type Fields = Readonly<Record<string, unknown>>;
type FieldCheck = readonly [field: string, required: boolean, valid: (value: unknown) => boolean, message: string];

const isText = (value: unknown): boolean => typeof value === 'string' && value.length > 0 && value.length <= MAX_TEXT;
const isAmount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) > 0;
const isCurrency = (value: unknown): boolean => typeof value === 'string' && /^[A-Z]{3}$/.test(value);

const MONEY_CHECKS: readonly FieldCheck[] = [
  ['amount_minor', true, isAmount, 'must be a whole number of minor units from 1 to 2^53-1'],
  ['currency', true, isCurrency, 'must be a three-letter ISO 4217 code in capitals'],
  ['reference', true, isText, `must be a text of 1 to ${MAX_TEXT} characters`],
];
const CHARGE_CHECKS: readonly FieldCheck[] = [
  ...MONEY_CHECKS,
  ['payment_token', false, isText, `must be a text of 1 to ${MAX_TEXT} characters`],
];
const REFUND_CHECKS: readonly FieldCheck[] = [
  ...MONEY_CHECKS,
  ['charge_id', false, isText, 'must be the id of a charge'],
  ['charge_reference', false, isText, 'must be the reference of a charge'],
];

/** The `Idempotency-Key` of a write; 400 when it is absent, empty or longer than 255 characters. */
export function parseIdempotencyKey(header: string | string[] | undefined): Checked<string> {
  if (isText(header)) return { ok: true, value: header as string };
  const detail = `send the header Idempotency-Key with 1 to ${MAX_TEXT} characters`;
  return refuse(problem(400, header === undefined ? 'idempotency_key_missing' : 'idempotency_key_invalid', detail));
}

/** The body of `POST /v1/charges`; 422 for wrong or unknown fields, card numbers and unknown tokens. */
export function parseCharge(body: unknown): Checked<ChargeInput> {
  if (holdsCardNumber(String((body as Fields | null | undefined)?.payment_token))) {
    return refuse(
      problem(422, 'card_number_refused', 'payment_token holds a card number; send a token, never a card number'),
    );
  }
  const fields = checkFields(body, CHARGE_CHECKS);
  if (!fields.ok) return fields;
  const { amount_minor, currency, reference, payment_token = DEFAULT_TOKEN } = fields.value;
  const token = TOKENS.get(String(payment_token));
  if (token === undefined) {
    return refuse(problem(422, 'unknown_token', 'payment_token is none of the tokens that GET / lists'));
  }
  return {
    ok: true,
    value: { amountMinor: Number(amount_minor), currency: String(currency), reference: String(reference), token },
  };
}

/** The body of `POST /v1/refunds`; 422 for wrong or unknown fields, or when it does not name exactly one charge. */
export function parseRefund(body: unknown): Checked<RefundInput> {
  const fields = checkFields(body, REFUND_CHECKS);
  if (!fields.ok) return fields;
  const { amount_minor, currency, reference, charge_id, charge_reference } = fields.value;
  if ((charge_id === undefined) === (charge_reference === undefined)) {
    return invalid([{ field: 'charge_id', message: 'send either charge_id or charge_reference' }]);
  }
  return {
    ok: true,
    value: {
      amountMinor: Number(amount_minor),
      currency: String(currency),
      reference: String(reference),
      chargeId: charge_id as string | undefined,
      chargeReference: charge_reference as string | undefined,
    },
  };
}

/**
 * Whether the text holds what looks like a card number: 12 to 19 digits, alone or parted by spaces and dashes, whose
 * Luhn checksum (ISO/IEC 7812-1) is right.
 */
export function holdsCardNumber(text: string): boolean {
  const runs = text.match(/\d(?:[ -]?\d){11,}/g) ?? [];
  return runs.some((run) => {
    const digits = run.replace(/[ -]/g, '');
    return digits.length <= 19 && hasLuhnChecksum(digits);
  });
}

function hasLuhnChecksum(digits: string): boolean {
  let sum = 0;
  for (let place = 0; place < digits.length; place++) {
    const digit = Number(digits[digits.length - 1 - place]);
    const doubled = place % 2 === 1 ? digit * 2 : digit;
    sum += doubled > 9 ? doubled - 9 : doubled;
  }
  return sum % 10 === 0;
}

/** The body as an object whose fields all pass; unknown fields are refused, so that nothing unwanted is ever kept. */
function checkFields(body: unknown, checks: readonly FieldCheck[]): Checked<Fields> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    return refuse(problem(400, 'malformed_json', 'the body must be a JSON object'));
  }
  const fields = body as Fields;
  const wrong = checks
    .filter(([field, required, valid]) => (fields[field] === undefined ? required : !valid(fields[field])))
    .map(([field, , , message]) => ({ field, message }));
  const unknown = Object.keys(fields)
    .filter((name) => !checks.some(([field]) => field === name))
    .map((field) => ({ field, message: 'is not a field of this call' }));
  const errors = [...wrong, ...unknown];
  return errors.length === 0 ? { ok: true, value: fields } : invalid(errors);
}
