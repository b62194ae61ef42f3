import type { Result } from '#kernel/core/result.ts';
import type { OperationKind } from './contract.ts';
import type { Answer } from './decider.ts';

/** What a gateway is asked for. There is never a card number in it. */
export interface GatewayRequest {
  readonly kind: OperationKind;
  /** The payment's id for a charge, the refund's for a refund: the gateway keeps it as its reference. */
  readonly id: string;
  readonly payment_id: string;
  /** The gateway carries out one key once, however often it is sent. */
  readonly idempotency_key: string;
  readonly amount_minor: number;
  readonly currency: string;
  /** Of charges; null: none was given. */
  readonly payment_token: string | null;
}

/**
 * A call that brought no answer.
 * - `not_sent`: the gateway cannot have received it
 * - `error`: the gateway says that it failed; a look-up tells what became of it
 * - `unknown`: it may have been carried out, or may be yet
 */
export interface CallFailure {
  readonly outcome: 'not_sent' | 'error' | 'unknown';
  readonly reason: string;
}

/** `refused`: the gateway will never carry out this request, and has not. */
export type CallOutcome =
  | { readonly outcome: 'answered'; readonly answer: Answer }
  | { readonly outcome: 'refused'; readonly reason: string }
  | CallFailure;

/** `not_found`: the gateway has never carried out this idempotency key. */
export type LookUpOutcome =
  | { readonly outcome: 'answered'; readonly answer: Answer }
  | { readonly outcome: 'not_found' }
  | CallFailure;

/** What a webhook tells, its signature checked. */
export interface Notification {
  readonly kind: OperationKind;
  /** The reference that the request was made with: the payment's or the refund's id. */
  readonly reference: string;
  readonly answer: Answer;
}

/** A webhook that really comes from the gateway. */
export interface VerifiedWebhook {
  /** Names this delivery and no other; a second one with it is a replay. */
  readonly delivery: string;
  /** After this moment (milliseconds since 1970) the delivery would be refused as stale anyway. */
  readonly staleAfter: number;
  /** Undefined when it tells nothing about a charge or a refund. */
  readonly notification: Notification | undefined;
}

export const WEBHOOK_REFUSALS = ['missing_signature', 'wrong_signature', 'stale', 'malformed'] as const;
export type WebhookRefusal = (typeof WEBHOOK_REFUSALS)[number];

/** An external card gateway. Nothing here throws for what a gateway or a network can do: that is in the outcomes. */
export interface GatewayProvider {
  readonly name: string;
  /** True when a charge without a card token is refused. */
  readonly requiresToken: boolean;
  /** Takes money. @param signal aborted when the caller no longer waits */
  charge(request: GatewayRequest, signal: AbortSignal): Promise<CallOutcome>;
  /** Gives money back that was taken for `payment_id`. */
  refund(request: GatewayRequest, signal: AbortSignal): Promise<CallOutcome>;
  /** Finds out what became of a charge or a refund, by its idempotency key. Moves nothing. */
  lookUp(request: GatewayRequest, signal: AbortSignal): Promise<LookUpOutcome>;
  /**
   * Checks that a webhook comes from the gateway, and reads it.
   * @param headers names in lower case
   * @param body as it came, byte for byte
   * @param now milliseconds since 1970
   */
  verifyWebhook(
    headers: Readonly<Record<string, string | readonly string[] | undefined>>,
    body: Buffer,
    now: number,
  ): Result<VerifiedWebhook, WebhookRefusal>;
  /** Cuts the connections; calls under way come back as `unknown`. */
  close(): void;
}
