import { test } from 'node:test';
import type { PaymentMethod } from '#services/payments/contract.ts';
import { createPaymentDecider, type PaymentCommand } from '#services/payments/decider.ts';
import { type CreatePayment, DEFAULT_PAYMENT_SETTINGS, type PaymentEvent } from '#services/payments/payment.decider.ts';
import { type ExpectedEvent, given, NOW } from './given.ts';

export const PAYMENT_ID = '019aaf00-0000-7000-8000-000000000001';
export const TRACE_ID = 'a'.repeat(32);

export const paymentDecider = createPaymentDecider(DEFAULT_PAYMENT_SETTINGS);

/** The nth of a series of refund ids. */
export function refundId(n: number): string {
  return `019aaf00-0000-7000-9000-${String(n).padStart(12, '0')}`;
}

/** 100.50 USD by the method. */
export function createPayment(method: PaymentMethod): CreatePayment {
  const amount = { amountMinor: 10_050, currency: 'USD' };
  return {
    type: 'CreatePayment',
    paymentId: PAYMENT_ID,
    customerId: 'customer-1',
    method,
    ...amount,
    traceId: TRACE_ID,
  };
}

export const fraudApproved: PaymentCommand = { type: 'FraudChecked', status: 'APPROVED', reason: 'approved' };
export const fraudDeclined: PaymentCommand = { type: 'FraudChecked', status: 'DECLINED', reason: 'fraud_detected' };
export const debited: PaymentCommand = { type: 'WalletAnswered', outcome: 'debited', reason: 'success' };
export const debitDeclined: PaymentCommand = {
  type: 'WalletAnswered',
  outcome: 'declined',
  reason: 'insufficient_funds',
};
/** The wallet's answer to the refund or compensation with this id. */
export function credited(refundId: string): PaymentCommand {
  return { type: 'RefundAnswered', refundId, outcome: 'succeeded', reason: 'success' };
}
export function creditDeclined(refundId: string): PaymentCommand {
  return { type: 'RefundAnswered', refundId, outcome: 'declined', reason: 'balance_too_large' };
}
export const chargeSent: PaymentCommand = { type: 'ChargeSent' };
export const charged: PaymentCommand = { type: 'ChargeAnswered', status: 'SUCCESS', reason: 'success' };
/** The gateway's answer to the charge. */
export function answered(
  status: 'FAILED' | 'INSUFFICIENT_FUNDS',
  reason: string,
  declinedBy?: 'issuer' | 'gateway',
): PaymentCommand {
  return { type: 'ChargeAnswered', status, reason, ...(declinedBy && { declinedBy }) };
}
/** Nobody knows whether the money was taken; the gateway is asked again `after` ms after NOW. */
export function timedOut(after: number): PaymentCommand {
  return { type: 'ChargeAnswered', status: 'TIMEOUT', reason: 'timeout', nextAttemptAt: NOW + after };
}
export const deadlinePassed: PaymentCommand = { type: 'DeadlinePassed' };

/** A command and the milliseconds after NOW at which it comes. */
export type Step = PaymentCommand | readonly [PaymentCommand, number];

/** What happened in the stream of a payment that was told these commands, one after another. */
export function history(...steps: readonly Step[]): readonly PaymentEvent[] {
  const events: PaymentEvent[] = [];
  let state = paymentDecider.initial;
  for (const step of steps) {
    const [command, after] = 'type' in step ? [step, 0] : step;
    const result = paymentDecider.decide(command, state, { now: NOW + after });
    if (!result.ok) throw new Error(`${command.type} was refused: ${result.refusal.message}`);
    for (const event of result.value) {
      events.push(event);
      state = paymentDecider.evolve(state, event);
    }
  }
  return events;
}

/** What happened before; the command and when it comes, ms after NOW; what follows: events, or the code of a refusal. */
export type Case = readonly [
  name: string,
  before: readonly Step[],
  command: PaymentCommand,
  after: number,
  expected: string | readonly ExpectedEvent[],
];

/** Makes a test of each case. */
export function testCases(cases: readonly Case[]): void {
  for (const [name, before, command, after, expected] of cases) {
    test(name, () => {
      const decided = given(paymentDecider, history(...before)).when(command, { now: NOW + after });
      if (typeof expected === 'string') decided.thenRefused(expected);
      else decided.thenEvents(...expected);
    });
  }
}

/** The end of the payment that `createPayment` creates. */
export function ended(outcome: 'approved' | 'declined' | 'failed', reason: string): ExpectedEvent {
  const data = { id: PAYMENT_ID, status: outcome.toUpperCase(), reason, amount: 100.5, customer_id: 'customer-1' };
  return { type: `payments.${outcome}`, data };
}

/** A move of the saga that no other event tells. */
export function advanced(state: string, attempt: number, reason: string, more: object = {}): ExpectedEvent {
  return { type: 'payments.saga.advanced', data: { state, attempt, reason, ...more } };
}

/** A request to another service. */
export function asks(type: string, data: object): ExpectedEvent {
  return { type, data };
}
