import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Decider } from '#kernel/core/decider.ts';
import { gatewayAttemptRecorded, gatewayChargeAnswered, gatewayChargeSent, gatewayRefundAnswered } from './contract.ts';
import {
  type Answer,
  createChargeDecider,
  createRefundDecider,
  type OperationCommand,
  type OperationEvent,
  type OperationState,
  type RequestedOperation,
} from './decider.ts';

const POLICY = { maxCalls: 3, giveUpAfterMs: 60_000 };
const NOW = Date.UTC(2026, 10, 22, 12);
const LATER = NOW + 2_000;
const TRACE = 'a'.repeat(32);

const charge: RequestedOperation = {
  kind: 'charge',
  id: '019a0000-0000-7000-8000-000000000001',
  payment_id: '019a0000-0000-7000-8000-000000000001',
  amount_minor: 10_050,
  currency: 'USD',
  trace_id: TRACE,
  gateway: 'simulator',
  requested_at: NOW - 1_000,
};
const refund: RequestedOperation = { ...charge, kind: 'refund', id: '019a0000-0000-7000-8000-000000000002' };

const approved: Answer = {
  status: 'succeeded',
  reason: 'success',
  gateway_payment_id: 'ch_1',
  transaction_id: 'txn_1',
  idempotency_key: 'key-1',
  amount_minor: 10_050,
  currency: 'USD',
};
const declined: Answer = { ...approved, status: 'declined', reason: 'card_declined' };
const pending: Answer = { ...approved, status: 'pending', reason: 'pending' };

const answer = (value: Answer, nextAttemptAt?: number): OperationCommand => ({
  type: 'RecordAnswer',
  operation: charge,
  answer: value,
  ...(nextAttemptAt !== undefined && { nextAttemptAt }),
});
const failure = { operation: charge, abandoned: false, settled: false, nextAttemptAt: LATER } as const;
const unknown = (reason = 'timeout'): OperationCommand => ({
  ...failure,
  type: 'RecordUnknown',
  reason,
  called: true,
});
const notTaken = (called: boolean, reason = 'gateway_error'): OperationCommand => ({
  ...failure,
  type: 'RecordNotTaken',
  reason,
  called,
});
/** A look-up finds nothing, and no call is made any more. */
const nothingFound = { ...failure, type: 'RecordNotTaken', reason: 'gateway_timeout', called: false } as const;

type OperationDecider = Decider<OperationState, OperationCommand, OperationEvent>;

/** The events that the last command leads to after the others, each in short. */
function events(
  commands: readonly OperationCommand[],
  decider: OperationDecider = createChargeDecider(POLICY),
  now = NOW,
) {
  let state = decider.initial;
  let last: readonly OperationEvent[] = [];
  for (const command of commands) {
    const decided = decider.decide(command, state, { now });
    assert.ok(decided.ok);
    last = decided.value;
    for (const event of last) assert.equal(problemOf(event), undefined);
    state = last.reduce(decider.evolve, state);
  }
  return last;
}

function problemOf({ type, data }: OperationEvent): string | undefined {
  const definitions = [gatewayChargeSent, gatewayChargeAnswered, gatewayRefundAnswered, gatewayAttemptRecorded];
  return definitions.find((definition) => definition.type === type)?.problem(data);
}

function inShort(list: readonly OperationEvent[]): readonly string[] {
  return list.map(({ type, data }) => {
    if (type === 'gateway.charge.sent') return 'sent';
    if (type === 'gateway.attempt.recorded')
      return `${data.outcome} ${data.reason} attempt ${data.attempt} calls ${data.calls}`;
    const by = 'declined_by' in data ? ` by ${data.declined_by}` : '';
    return `${data.status} ${data.reason}${by}`;
  });
}

const shortAfter = (...commands: OperationCommand[]) => inShort(events(commands));

describe('a charge', () => {
  test('answered at once: sent and answered in one decision', () => {
    const [sent, answered] = events([answer(approved)]);
    assert.deepEqual(sent?.data, {
      payment_id: charge.payment_id,
      gateway: 'simulator',
      gateway_payment_id: 'ch_1',
      trace_id: TRACE,
      sent_at: '2026-11-22T12:00:00.000Z',
    });
    assert.deepEqual(answered?.data, {
      payment_id: charge.payment_id,
      gateway: 'simulator',
      status: 'SUCCESS',
      reason: 'success',
      amount: 100.5,
      amount_minor: 10_050,
      currency: 'USD',
      trace_id: TRACE,
      responded_at: '2026-11-22T12:00:00.000Z',
      transaction_id: 'txn_1',
    });
  });

  test('declined: by the issuer, with its reason; lack of funds has a status of its own', () => {
    assert.deepEqual(shortAfter(answer(declined)), ['sent', 'FAILED card_declined by issuer']);
    const poor = { ...declined, reason: 'insufficient_funds' };
    assert.deepEqual(shortAfter(answer(poor)), ['sent', 'INSUFFICIENT_FUNDS insufficient_funds']);
  });

  test('pending, then decided by a webhook', () => {
    assert.deepEqual(shortAfter(answer(pending, LATER)), ['sent']);
    assert.deepEqual(shortAfter(answer(pending, LATER), answer(approved)), ['SUCCESS success']);
  });

  test('pending, and still pending when looked up: when it is looked up next is recorded', () => {
    const still = answer(pending, LATER);
    assert.deepEqual(shortAfter(still, still), ['pending pending attempt 1 calls 0']);
    assert.deepEqual(shortAfter(still, still, still), ['pending pending attempt 2 calls 0']);
  });

  test('webhooks that come twice, late or out of order change nothing', () => {
    assert.deepEqual(shortAfter(answer(approved), answer(approved)), []);
    assert.deepEqual(shortAfter(answer(approved), answer(pending)), []);
    assert.deepEqual(shortAfter(answer(approved), answer(declined)), []);
    assert.deepEqual(shortAfter(answer(pending), answer(pending)), []);
    assert.deepEqual(shortAfter(answer(approved), unknown()), []);
    assert.deepEqual(shortAfter(answer(approved), notTaken(true)), []);
  });

  test('a webhook that comes before the answer of the call decides it', () => {
    assert.deepEqual(shortAfter(answer(approved), answer(pending, LATER)), []);
  });

  test('an unknown outcome is told once, with when the gateway is asked next', () => {
    const [sent, timeout] = events([unknown()]);
    assert.equal(sent?.type, 'gateway.charge.sent');
    const told = { status: 'TIMEOUT', reason: 'timeout', next_attempt_at: '2026-11-22T12:00:02.000Z' };
    assert.partialDeepStrictEqual(timeout, { type: 'gateway.charge.answered', data: told });
    assert.deepEqual(shortAfter(unknown(), unknown()), ['unknown timeout attempt 2 calls 2']);
  });

  test('an unknown outcome ends when a look-up finds the charge', () => {
    assert.deepEqual(shortAfter(unknown(), answer(approved)), ['SUCCESS success']);
    assert.deepEqual(shortAfter(unknown(), answer(declined)), ['FAILED card_declined by issuer']);
  });

  test('an unknown outcome is never given up, however old it is', () => {
    const commands = Array.from({ length: 20 }, () => unknown());
    const last = events(commands, createChargeDecider(POLICY), NOW + 10 * POLICY.giveUpAfterMs);
    assert.deepEqual(inShort(last), ['unknown timeout attempt 20 calls 20']);
  });

  test('nothing moved: tried again, and given up after the last call', () => {
    assert.deepEqual(shortAfter(notTaken(true)), ['not_taken gateway_error attempt 1 calls 1']);
    assert.deepEqual(shortAfter(notTaken(true), notTaken(true)), ['not_taken gateway_error attempt 2 calls 2']);
    assert.deepEqual(shortAfter(notTaken(true), notTaken(true), notTaken(true)), ['FAILED gateway_error by gateway']);
    assert.deepEqual(shortAfter(notTaken(true), answer(approved)), ['sent', 'SUCCESS success']);
  });

  test('attempts that never reached the gateway end by age, not by number', () => {
    const down = notTaken(false, 'gateway_unavailable');
    const commands = Array.from({ length: 20 }, () => down);
    assert.deepEqual(inShort(events(commands)), ['not_taken gateway_unavailable attempt 20 calls 0']);
    const old = charge.requested_at + POLICY.giveUpAfterMs;
    assert.deepEqual(inShort(events([down], createChargeDecider(POLICY), old)), [
      'FAILED gateway_unavailable by gateway',
    ]);
  });

  test('a call that timed out may still arrive: until it has settled, finding nothing is not the last word', () => {
    assert.deepEqual(shortAfter(unknown(), unknown(), unknown(), nothingFound), [
      'unknown gateway_timeout attempt 4 calls 3',
    ]);
    assert.deepEqual(shortAfter(unknown(), notTaken(true)), ['unknown gateway_error attempt 2 calls 2']);
    assert.deepEqual(shortAfter(unknown(), notTaken(true), notTaken(true)), [
      'unknown gateway_error attempt 3 calls 3',
    ]);
  });

  test('once it has settled, a look-up that finds nothing after the last call gives up, whatever the clock says', () => {
    const settled: OperationCommand = { ...nothingFound, settled: true };
    assert.deepEqual(shortAfter(unknown(), unknown(), unknown(), settled), ['FAILED gateway_timeout by gateway']);
    assert.deepEqual(shortAfter(unknown(), settled), ['not_taken gateway_timeout attempt 2 calls 1']);
    const years = NOW + 1_000_000 * POLICY.giveUpAfterMs;
    const early = events([unknown(), unknown(), unknown(), nothingFound], createChargeDecider(POLICY), years);
    assert.deepEqual(inShort(early), ['unknown gateway_timeout attempt 4 calls 3']);
  });

  test('an attempt that was never recorded counts as a call that may still arrive', () => {
    const abandoned: OperationCommand = {
      ...failure,
      type: 'RecordNotTaken',
      reason: 'gateway_error',
      called: true,
      abandoned: true,
    };
    assert.deepEqual(shortAfter(abandoned), ['unknown gateway_error attempt 1 calls 2']);
    assert.deepEqual(shortAfter(notTaken(true), abandoned), ['unknown gateway_error attempt 2 calls 3']);
    assert.deepEqual(shortAfter(notTaken(true), abandoned, nothingFound), [
      'unknown gateway_timeout attempt 3 calls 3',
    ]);
    const settled: OperationCommand = { ...nothingFound, settled: true };
    assert.deepEqual(shortAfter(notTaken(true), abandoned, settled), ['FAILED gateway_timeout by gateway']);
  });

  test('asked for again: it is due at once while it is open, and nothing else changes', () => {
    const again: OperationCommand = { type: 'AskAgain', operation: charge };
    assert.deepEqual(shortAfter(again), ['asked_again asked_again attempt 0 calls 0']);
    assert.deepEqual(shortAfter(unknown(), again), ['asked_again asked_again attempt 1 calls 1']);
    assert.deepEqual(shortAfter(unknown(), again, unknown()), ['unknown timeout attempt 2 calls 2']);
    assert.deepEqual(shortAfter(answer(approved), again), []);
  });

  test('refused for what it is: failed without having been sent', () => {
    const refused: OperationCommand = { type: 'RecordRefusal', operation: charge, reason: 'token_required' };
    assert.deepEqual(shortAfter(refused), ['FAILED token_required by gateway']);
  });

  test('money that was taken after all is told once, so that it can be given back', () => {
    const givenUp = [notTaken(true), notTaken(true), notTaken(true)];
    assert.deepEqual(shortAfter(...givenUp, answer(pending)), []);
    assert.deepEqual(shortAfter(...givenUp, answer(approved)), ['SUCCESS success']);
    assert.deepEqual(shortAfter(...givenUp, answer(approved), answer(approved)), []);
  });
});

describe('a refund', () => {
  const decider = createRefundDecider(POLICY);
  const forRefund = (command: OperationCommand): OperationCommand => ({ ...command, operation: refund });
  const after = (...commands: OperationCommand[]) => events(commands.map(forRefund), decider);

  test('answered: one event, which names the refund and the payment', () => {
    const [answered, ...rest] = after(answer(approved));
    assert.deepEqual(rest, []);
    const data = { refund_id: refund.id, payment_id: refund.payment_id, status: 'SUCCESS' };
    assert.partialDeepStrictEqual(answered, { type: 'gateway.refund.answered', data });
  });

  test('pending: when it is looked up is recorded, under the refund', () => {
    const [recorded] = after(answer(pending, LATER));
    assert.partialDeepStrictEqual(recorded, { type: 'gateway.attempt.recorded', data: { refund_id: refund.id } });
    assert.deepEqual(inShort(after(answer(pending, LATER), answer(approved))), ['SUCCESS success']);
  });

  test('declined, given up and unknown go as with charges', () => {
    assert.deepEqual(inShort(after(answer({ ...declined, reason: 'refund_declined' }))), ['FAILED refund_declined']);
    assert.deepEqual(inShort(after(notTaken(true), notTaken(true), notTaken(true))), ['FAILED gateway_error']);
    assert.deepEqual(inShort(after(unknown())), ['TIMEOUT timeout']);
    assert.deepEqual(inShort(after(unknown(), answer(approved))), ['SUCCESS success']);
  });
});

describe('whatever happens, in whatever order', () => {
  const anyCommand = fc.constantFrom<OperationCommand>(
    answer(approved),
    answer(declined),
    answer(pending),
    answer(pending, LATER),
    unknown(),
    notTaken(true),
    notTaken(false),
    { ...nothingFound, settled: true },
    { ...nothingFound, abandoned: true },
    { type: 'AskAgain', operation: charge },
    { type: 'RecordRefusal', operation: charge, reason: 'unknown_token' },
  );

  test('sent at most once and before any answer of the gateway, TIMEOUT at most once, one final answer', () => {
    fc.assert(
      fc.property(fc.array(anyCommand, { maxLength: 30 }), (commands) => {
        const decider = createChargeDecider(POLICY);
        const all: OperationEvent[] = [];
        let state = decider.initial;
        for (const command of commands) {
          const decided = decider.decide(command, state, { now: NOW });
          if (!decided.ok) assert.fail('a record is never refused');
          all.push(...decided.value);
          state = decided.value.reduce(decider.evolve, state);
        }
        const short = inShort(all);
        const finals = short.filter((text) => /^(SUCCESS|FAILED|INSUFFICIENT)/.test(text));
        assert.ok(short.filter((text) => text === 'sent').length <= 1);
        assert.ok(short.filter((text) => text.startsWith('TIMEOUT')).length <= 1);
        assert.ok(
          finals.length <= 1 ||
            (finals.length === 2 && finals[0]?.startsWith('FAILED') && finals[1] === 'SUCCESS success'),
        );
        const firstTold = short.findIndex((text) => /^(SUCCESS|TIMEOUT|.* by issuer)/.test(text));
        if (firstTold >= 0 && !finals[0]?.endsWith('by gateway')) assert.ok(short.indexOf('sent') < firstTold);
      }),
    );
  });
});
