import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NewEvent } from '#kernel/core/decider.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { paymentIdOf } from '#services/purchases/contract.ts';
import { recorded } from '../../tests/support/recorded.ts';
import { createAuditor } from './auditor.ts';

const PURCHASE = '01890a5d-ac96-774b-bcce-b302099a8057';
const PAYMENT = paymentIdOf(PURCHASE);
const CUP = '8abc92df-530c-8239-8bb5-20977eb53fc9';
const MONEY = { amount_minor: 850, currency: 'GBP' };

const event = (type: string, data: object): NewEvent => ({ type, data });
const levels = (on_hand: number, reserved: number, available = on_hand - reserved) => ({
  on_hand,
  reserved,
  available,
});
const ofPurchase = { purchase_id: PURCHASE, lines: [{ product_id: CUP, quantity: 2 }] };

/** What happens, event by event, each under a name so that it can be changed: two cups are bought for 8.50. */
function history() {
  return {
    delivered: event('inventory.stock.updated', { ...levels(10, 0), change: 10 }),
    created: event('purchase.created', {
      ...{ purchase_id: PURCHASE, payment_id: PAYMENT },
      lines: [{ product_id: CUP, quantity: 2, unit_price_minor: 425 }],
    }),
    reserved: event('inventory.reserved', { ...levels(10, 2), ...ofPurchase }),
    paymentCreated: event('payments.created', { id: PAYMENT, ...MONEY, method: 'wallet' }),
    debited: event('wallet.debited', {
      ...{ payment_id: PAYMENT, wallet_id: 'wallet', reason: 'success' },
      ...MONEY,
      ...{ previous_balance_minor: 1000, new_balance_minor: 150 },
    }),
    approved: event('payments.approved', { id: PAYMENT, ...MONEY }),
    confirmed: event('purchase.confirmed', { purchase_id: PURCHASE, payment_id: PAYMENT }),
    committed: event('inventory.committed', { ...levels(8, 0), ...ofPurchase }),
    completed: event('purchase.completed', { purchase_id: PURCHASE, payment_id: PAYMENT }),
  };
}
type Name = keyof ReturnType<typeof history>;

const STREAMS: Readonly<Record<string, readonly [type: string, id: string]>> = {
  inventory: ['stock', CUP],
  purchase: ['purchase', PURCHASE],
  payments: ['payment', PAYMENT],
  wallet: ['wallet', 'wallet'],
};

function audit(events: readonly NewEvent[]): readonly string[] {
  const positions = new Map<string, number>();
  const auditor = createAuditor(() => undefined);
  const log = events.map((each): RecordedEvent => {
    const [type, id] = STREAMS[each.type.split('.')[0]!]!;
    const position = (positions.get(type) ?? 0) + 1;
    positions.set(type, position);
    return recorded(type, id, [each], position)[0]!;
  });
  const findings = [...log.flatMap((each) => [...auditor.observe(each)]), ...auditor.atRest()];
  return findings.map(({ invariant, message }) => `${invariant}: ${message}`);
}

/** @param changes what is different: other data of an event, or `null` for one that did not happen */
function findings(changes: Partial<Record<Name, object | null>>, more: readonly NewEvent[] = []): readonly string[] {
  const events = Object.entries(history()).flatMap(([name, { type, data }]) => {
    const change = changes[name as Name];
    return change === null ? [] : [event(type, { ...data, ...change })];
  });
  return audit([...events, ...more]);
}

const cancelled = event('purchase.cancelled', { purchase_id: PURCHASE, payment_id: PAYMENT });

test('nothing is found where everything agrees', () => {
  assert.deepEqual(findings({}), []);
});

const MISTAKES: Readonly<Record<string, readonly [found: readonly string[], finding: RegExp]>> = {
  'more is promised than there is': [
    findings({ reserved: { ...levels(10, 12), lines: [{ product_id: CUP, quantity: 12 }] } }),
    /^stock_adds_up: .*-2 are available of 10 on hand and 12 reserved/,
  ],
  'available is not what is left': [
    findings({ reserved: levels(10, 2, 10) }),
    /^stock_adds_up: .*10 are available of 10/,
  ],
  'units vanish': [findings({ committed: levels(7, 0) }), /^stock_adds_up: .*10 and -2 are not 7 on hand/],
  'a reservation is not counted': [findings({ reserved: levels(10, 0) }), /^stock_adds_up: .*open reservations keep 2/],
  'a reservation stays': [findings({ committed: levels(8, 2) }), /^stock_adds_up: .*2 are reserved, .*keep 0/],
  'what was not kept is released': [
    findings({}, [event('inventory.released', { ...levels(8, 0), ...ofPurchase })]),
    /^stock_adds_up: .*released what was not kept/,
  ],
  'units leave before they are paid': [findings({ confirmed: null }), /^paid_and_delivered: .*left the house before/],
  'it is confirmed, and its payment is not approved': [
    findings({ approved: null }),
    /^paid_and_delivered: .*confirmed, its payment is null/,
  ],
  'it is completed, and nothing left the house': [
    findings({ committed: null }),
    /^paid_and_delivered: .*completed with 0 of 2/,
  ],
  'more leaves than was bought': [
    findings({}, [event('inventory.committed', { ...levels(6, 0), ...ofPurchase })]),
    /^paid_and_delivered: .*4 of .* are out, 2 were bought/,
  ],
  'it is created twice': [findings({}, [history().created]), /^paid_and_delivered: .*created twice/],
  'it is completed twice': [findings({}, [history().completed]), /^paid_and_delivered: .*COMPLETED after COMPLETED/],
  'it never ends': [findings({ completed: null }), /^paid_and_delivered: .*it has no final status/],
  'it is cancelled, and its units are out': [
    findings({}, [cancelled]),
    /^paid_and_delivered: .*cancelled, and units worth 850 are out/,
  ],
  'it is cancelled, and its money is kept': [
    findings({}, [
      cancelled,
      event('inventory.stock.updated', { ...levels(10, 0), change: 2, purchase_id: PURCHASE, return_number: 1 }),
    ]),
    /^paid_and_delivered: .*CANCELLED: 850 are kept for units worth 0/,
  ],
  'it has ended, and units are kept for it': [
    audit([history().delivered, history().created, history().reserved, cancelled]),
    /^paid_and_delivered: .*units are kept for it still/,
  ],
};

for (const [what, [found, finding]] of Object.entries(MISTAKES))
  test(`found: ${what}`, () => {
    assert.ok(
      found.some((line) => finding.test(line)),
      `found was only: ${found.join('; ')}`,
    );
  });

test('an auditor that begins in the middle accuses nobody', () => {
  const { reserved, confirmed, committed, completed } = history();
  const auditor = createAuditor(() => undefined);
  const log = [
    ...recorded('stock', CUP, [reserved, committed], 2),
    ...recorded('purchase', PURCHASE, [confirmed, completed], 3),
  ];
  assert.deepEqual(
    log.flatMap((each) => [...auditor.observe(each)]),
    [],
  );
});
