/** The store or another part that the work needs cannot be reached now; waiting may help. */
export class UnavailableError extends Error {
  override readonly name = 'UnavailableError';
}

/** Something was not as expected (position, key, membership): reload and decide again. */
export class ConflictError extends Error {
  override readonly name = 'ConflictError';
}

/** The batch that this one was to go on from took no effect, so neither did this one: why, the other's error says. */
export class BatchBeforeFailedError extends Error {
  override readonly name = 'BatchBeforeFailedError';
}

/** This process was taken for dead and lost its partitions: it has to join again. */
export class MembershipLostError extends Error {
  override readonly name = 'MembershipLostError';
}

/** A value that can never be accepted: no waiting will mend it. */
export class DataError extends Error {
  override readonly name = 'DataError';
}

/** An unexpected value as an Error, for logging and wrapping. */
export function toError(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error(String(cause));
}

/**
 * Every refusal and failure that a client can see: stable code → HTTP status and what it means. The API's error
 * documentation is generated from this table.
 */
export const ERRORS = {
  invalid_http: [400, 'The request is not well-formed HTTP.'],
  invalid_json: [400, 'The body is not JSON.'],
  invalid_request: [422, 'One or more fields are wrong; `errors` lists each.'],
  body_too_large: [413, 'The body is larger than 1 MiB.'],
  unsupported_media_type: [415, 'Send Content-Type: application/json.'],
  not_found: [404, 'There is nothing at this path.'],
  method_not_allowed: [405, 'The path does not take this method.'],
  invalid_cursor: [422, 'The cursor is not one that a list returned.'],
  invalid_id: [422, 'The id is not a UUID.'],
  unknown_currency: [422, 'The currency is not an ISO 4217 code.'],
  invalid_amount: [422, 'The amount is not a finite decimal number.'],
  amount_not_positive: [422, 'The amount must be greater than zero.'],
  amount_too_precise: [422, 'The amount has more decimals than its currency.'],
  amount_too_large: [422, 'The amount is past 2^53 minor units.'],
  payment_not_found: [404, 'No payment has this id.'],
  payment_not_refundable: [409, 'Only an approved payment can be refunded.'],
  refund_exceeds_payment: [422, 'The refund is larger than what is left of the payment.'],
  wallet_not_found: [404, 'There is no such wallet.'],
  wallet_already_exists: [409, 'The user has a wallet in this currency already.'],
  currency_mismatch: [422, 'The wallet is in another currency.'],
  insufficient_funds: [422, 'The balance and the overdraft limit do not cover the amount.'],
  balance_too_large: [422, 'The balance would pass 2^53 minor units.'],
  reference_reused: [
    409,
    'The reference was used for another movement of this wallet, adjustment of this stock, or purchase.',
  ],
  product_not_found: [404, 'There is no such product.'],
  product_already_exists: [409, 'There is a product of this SKU already.'],
  stock_not_found: [404, 'Nothing is known of the stock of this product.'],
  insufficient_stock: [422, 'There are not so many units.'],
  stock_too_large: [422, 'There cannot be so many units of one product.'],
  product_unknown: [422, 'There is no such product to be bought.'],
  product_not_for_sale: [422, 'The product is not sold at present.'],
  product_repeated: [422, 'A purchase has one line for each product.'],
  price_changed: [409, 'The product has another price than the one expected.'],
  currencies_mixed: [422, 'All products of a purchase have the same currency.'],
  purchase_not_found: [404, 'No purchase has this id.'],
  purchase_not_cancellable: [409, 'The purchase cannot be cancelled in its present state.'],
  return_exceeds_purchase: [422, 'More units would come back than are left of the purchase.'],
  idempotency_key_invalid: [422, 'An Idempotency-Key has 1 to 255 printable characters.'],
  idempotency_key_reused: [422, 'The Idempotency-Key was used with another request.'],
  idempotency_key_in_progress: [409, 'The first request with this Idempotency-Key is still running.'],
  saga_not_found: [404, 'No saga has this id.'],
  saga_not_stuck: [409, 'The saga cannot be retried or compensated in its present state.'],
  dead_letter_not_found: [404, 'No dead letter has this id.'],
  dead_letter_settled: [409, 'The dead letter was replayed or discarded already.'],
  dead_letter_topic_not_found: [404, 'No dead letters go to a topic of this name.'],
  kafka_not_used: [409, 'This system has no Kafka: KAFKA_BROKERS is not set.'],
  webhook_signature_invalid: [401, 'The webhook signature is missing, wrong or stale.'],
  webhook_replayed: [409, 'The webhook was received before.'],
  token_required: [422, 'This gateway needs a payment_token.'],
  card_number_refused: [422, 'A card number was sent where a token belongs.'],
  too_many_requests: [429, 'The queue of requests is full; try again later.'],
  unavailable: [503, 'A part that the request needs is out of reach; try again later.'],
  internal_error: [500, 'An unexpected fault; the trace id finds it in the logs.'],
} as const satisfies Record<string, readonly [status: number, meaning: string]>;

export type ErrorCode = keyof typeof ERRORS;

/**
 * A request that is refused before or instead of a decision, with a code of the table above. It has no stack trace: it is
 * an answer and no fault, and to refuse must cost little when there is too much to do.
 */
export class RequestError extends Error {
  override readonly name = 'RequestError';
  readonly code: ErrorCode;
  /** Seconds after which trying again makes sense, for codes that pass by waiting. */
  readonly retryAfter: number | undefined;

  constructor(code: ErrorCode, message: string, retryAfter?: number) {
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    super(message);
    Error.stackTraceLimit = stackTraceLimit;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}
