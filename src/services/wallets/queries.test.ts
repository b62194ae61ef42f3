import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { NewEvent } from '#kernel/core/decider.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import { fromTimestamp } from '#kernel/core/timestamp.ts';
import type { Store } from '#kernel/event-store/store.ts';
import { NOW } from '../../../tests/support/given.ts';
import { recorded } from '../../../tests/support/recorded.ts';
import { WALLET, walletIdOf } from './contract.ts';
import { createWalletDecider, DEFAULT_WALLET_SETTINGS, type WalletCommand } from './decider.ts';
import { walletBalances } from './projections.ts';
import { balanceAsOf, statement } from './queries.ts';

const DAY = 86_400_000;
const WALLET_ID = walletIdOf('customer-1');
const decider = createWalletDecider(DEFAULT_WALLET_SETTINGS);

/** A wallet whose movements are dated so many days after NOW; a negative amount that it cannot pay is declined. */
function walletWith(movements: readonly (readonly [day: number, amountMinor: number])[]) {
  const owner = { walletId: WALLET_ID, userId: 'customer-1', currency: 'USD' };
  const events: NewEvent[] = [];
  let state = decider.initial;
  const tell = (command: WalletCommand) => {
    const result = decider.decide(command, state, { now: NOW });
    for (const event of result.ok ? result.value : []) {
      events.push(event);
      state = decider.evolve(state, event);
    }
  };
  tell({ type: 'OpenWallet', ...owner, overdraftLimitMinor: 0 });
  for (const [day, amount] of movements) {
    const request = { ...owner, paymentId: WALLET_ID, traceId: 'a'.repeat(32), requestedAt: NOW, attempt: 1 };
    if (amount < -state.balanceMinor) tell({ type: 'DebitForPayment', ...request, amountMinor: -amount });
    else {
      const type = amount < 0 ? 'Debit' : 'Credit';
      tell({ type, amountMinor: Math.abs(amount), reason: 'import', effectiveAt: NOW + day * DAY });
    }
  }
  const stream = recorded(WALLET, WALLET_ID, events);
  return { stream, store: readerOf(stream), wallet: rowOf(stream) };
}

function readerOf(stream: readonly RecordedEvent[]): Pick<Store, 'readStream'> {
  return {
    readStream: async (_, { from = 1, limit, backwards }) => {
      if (!backwards) return stream.slice(from - 1, from - 1 + limit);
      return stream.slice(0, from).reverse().slice(0, limit);
    },
  };
}

function rowOf(stream: readonly RecordedEvent[]) {
  const folded = stream.filter(({ type }) => walletBalances.events.includes(type));
  const [opened, ...movements] = folded;
  assert.ok(opened !== undefined);
  return movements.reduce(walletBalances.evolve, walletBalances.evolve(undefined, opened));
}

function movementsOf(stream: readonly RecordedEvent[]): readonly RecordedEvent[] {
  return stream.filter(({ type }) => type === 'wallet.debited' || type === 'wallet.credited');
}

/** The balance by adding up everything. */
function addedUp(stream: readonly RecordedEvent[], at: number): number {
  let sum = 0;
  for (const { type, data } of movementsOf(stream)) {
    if (fromTimestamp(data.effective_at) <= at)
      sum += type === 'wallet.credited' ? data.amount_minor : -data.amount_minor;
  }
  return sum;
}

const amount = fc.integer({ min: -500, max: 500 }).filter((minor) => minor !== 0);
const anyDays = fc.array(fc.tuple(fc.nat(30), amount), { maxLength: 120 });

test('the balance at any moment is the sum of the movements dated until then', async () => {
  const dated = fc.tuple(anyDays, fc.boolean(), fc.integer({ min: -1, max: 31 }));
  await fc.assert(
    fc.asyncProperty(dated, async ([days, inOrder, day]) => {
      const { stream, store, wallet } = walletWith(inOrder ? days.sort(([a], [b]) => a - b) : days);
      const at = NOW + day * DAY;
      assert.equal(await balanceAsOf(store, wallet, at), addedUp(stream, at));
    }),
  );
});

test('movements in the order of their value dates need few reads', async () => {
  const { store, wallet } = walletWith(Array.from({ length: 10_000 }, (_, i) => [i, 1] as const));
  let reads = 0;
  const counting: typeof store = {
    readStream: (...args) => {
      reads += 1;
      return store.readStream(...args);
    },
  };
  assert.equal(await balanceAsOf(counting, wallet, NOW + 1234 * DAY), 1235);
  assert.ok(reads <= 12, `${reads} reads`);
});

test('the pages of a statement hold every movement once, the last first or the first first', async () => {
  await fc.assert(
    fc.asyncProperty(anyDays, fc.integer({ min: 1, max: 50 }), fc.boolean(), async (days, limit, oldestFirst) => {
      const { stream, store, wallet } = walletWith(days);
      const seen: number[] = [];
      for (let cursor: number | undefined, more = true; more; ) {
        const page = await statement(store, wallet, { limit, oldestFirst, ...(cursor !== undefined && { cursor }) });
        assert.ok(page.data.length <= limit);
        seen.push(...page.data.map(({ position }) => position));
        more = page.nextCursor !== null;
        cursor = Number(page.nextCursor);
      }
      assert.deepEqual(
        oldestFirst ? seen : seen.reverse(),
        movementsOf(stream).map(({ streamPosition }) => streamPosition),
      );
    }),
  );
});

test('a statement of some days', async () => {
  const { store, wallet } = walletWith([
    [0, 10],
    [1, 20],
    [2, 30],
    [3, 40],
  ]);
  const { data } = await statement(store, wallet, { limit: 10, from: NOW + DAY, to: NOW + 3 * DAY });
  assert.deepEqual(
    data.map(({ amountMinor, newBalanceMinor }) => [amountMinor, newBalanceMinor]),
    [
      [30, 60],
      [20, 30],
    ],
  );
});
