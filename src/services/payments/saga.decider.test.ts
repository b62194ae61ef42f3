import {
  advanced,
  answered,
  asks,
  type Case,
  charged,
  chargeSent,
  createPayment,
  debitDeclined,
  debited,
  ended,
  fraudApproved,
  fraudDeclined,
  PAYMENT_ID,
  testCases,
  timedOut,
} from '../../../tests/support/payments.ts';

const wallet = createPayment('wallet');
const card = createPayment('credit_card');
const cardWithToken = { ...card, paymentToken: 'tok_visa' };
const debiting = [wallet, fraudApproved];
const atGateway = [card, fraudApproved];
const awaiting = [...atGateway, chargeSent];

const debit = asks('wallet.debit.requested', { payment_id: PAYMENT_ID, user_id: 'customer-1', amount_minor: 10_050 });
const charge = asks('gateway.charge.requested', {
  amount: 100.5,
  idempotency_key: `charge-${PAYMENT_ID}`,
  payment_token: 'tok_visa',
});
const askLater = { next_attempt_at: '2026-11-22T10:01:00.000Z' };

const CASES: readonly Case[] = [
  ['a new payment waits for the fraud check', [], wallet, 0, [{ type: 'payments.created', data: { amount: 100.5 } }]],
  ['a payment is created once', [wallet], wallet, 0, []],

  ['a checked wallet payment asks for a debit', [wallet], fraudApproved, 0, [debit]],
  ['a checked card payment asks for a charge', [cardWithToken], fraudApproved, 0, [charge]],
  ['fraud declines', [wallet], fraudDeclined, 0, [ended('declined', 'fraud_detected')]],
  ['a fraud check is answered once', debiting, fraudApproved, 0, []],
  ['a fraud check of no payment', [], fraudApproved, 0, []],

  ['a debit approves', debiting, debited, 0, [ended('approved', 'success')]],
  ['a declined debit declines', debiting, debitDeclined, 0, [ended('declined', 'insufficient_funds')]],
  ['a debit is answered once', [...debiting, debited], debited, 0, []],
  ['a late no to a debit', [...debiting, debited], debitDeclined, 0, []],
  ['a debit for no payment', [], debited, 0, []],
  ['a debit for a card payment', awaiting, debited, 0, []],

  ['a sent charge awaits its response', atGateway, chargeSent, 0, [advanced('AWAITING_RESPONSE', 1, 'charge_sent')]],
  ['a charge is sent once', awaiting, chargeSent, 0, []],
  ['a charge approves', awaiting, charged, 0, [ended('approved', 'success')]],
  ['a charge approves before it is known as sent', atGateway, charged, 0, [ended('approved', 'success')]],
  ['sent is told after answered', [...atGateway, charged], chargeSent, 0, []],
  ['no funds', awaiting, answered('INSUFFICIENT_FUNDS', 'no_funds'), 0, [ended('declined', 'no_funds')]],
  ['the issuer declines', awaiting, answered('FAILED', 'stolen', 'issuer'), 0, [ended('declined', 'stolen')]],
  ['the gateway gives up', awaiting, answered('FAILED', 'down', 'gateway'), 0, [ended('failed', 'down')]],
  ['a late no to a charge', [...awaiting, charged], answered('FAILED', 'stolen'), 0, []],
  ['a charge for a wallet payment', debiting, charged, 0, []],

  ['nobody knows', awaiting, timedOut(60_000), 0, [advanced('AWAITING_RESPONSE', 1, 'timeout', askLater)]],
  ['nobody knows, before it is sent', atGateway, timedOut(0), 0, [advanced('AWAITING_RESPONSE', 1, 'timeout')]],
  ['nobody knows, as before', [...awaiting, timedOut(60_000)], timedOut(60_000), 0, []],
  ['nobody knows, older news', [...awaiting, timedOut(60_000)], timedOut(50_000), 0, []],
  [
    'nobody knows, to be asked later still',
    [...awaiting, timedOut(0)],
    timedOut(60_000),
    0,
    [advanced('AWAITING_RESPONSE', 1, 'timeout', askLater)],
  ],
  ['a later answer decides', [...awaiting, timedOut(60_000)], charged, 9, [ended('approved', 'success')]],
  ['a later no decides', [...awaiting, timedOut(0)], answered('FAILED', 'stolen'), 9, [ended('declined', 'stolen')]],
  ['nobody knew, told after the answer', [...awaiting, charged], timedOut(60_000), 0, []],
];

testCases(CASES);
