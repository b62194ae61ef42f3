import type { Answer } from '#services/gateway/decider.ts';
import type { CallOutcome, GatewayRequest, LookUpOutcome, Notification } from '#services/gateway/provider.ts';
import type { RecordedCharge } from '#services/gateway/reconciliation.ts';
import { type Behaviour, DEFAULT_TOKEN, TOKENS, type Token } from '../../simulator/tokens.ts';
import type { Faults } from './faults.ts';
import type { VirtualTime } from './virtual-time.ts';

/** A charge or a refund as the gateway itself has it. */
interface Operation {
  readonly request: GatewayRequest;
  readonly id: string;
  readonly token: Token;
  status: 'pending' | 'succeeded' | 'declined';
  reason: string;
}

/** The card gateway outside: it does what the tokens of the gateway simulator say, and keeps its own record. */
export interface CardGateway {
  /** Carries a call out. Never resolves where a token says that no answer comes. */
  carryOut(request: GatewayRequest): Promise<CallOutcome>;
  lookUp(request: GatewayRequest): LookUpOutcome;
  /** While true, calls are answered with an error and carried out not at all. */
  down: boolean;
  /** Its own record, to be compared with what the platform believes. */
  record(): readonly RecordedCharge[];
  /** Webhooks that are still to come. */
  readonly pending: number;
}

const SLOW_MS = 3_000;
const ASYNC_MS = 1_000;
const LATE_MS = 20_000;

/** @param tell sends a webhook */
export function createCardGateway(
  time: VirtualTime,
  faults: Faults,
  tell: (notification: Notification) => void,
): CardGateway {
  const operations = new Map<string, Operation>();
  const errors = new Map<string, number>();
  let pending = 0;

  const find = ({ idempotency_key }: GatewayRequest): Operation | undefined => operations.get(idempotency_key);

  const notify = (operation: Operation): void => {
    const { request } = operation;
    if (faults.hit('webhook lost')) return;
    const times = faults.hit('webhook twice') ? 2 : 1;
    for (let i = 0; i < times; i++) {
      pending += 1;
      const answer = answerOf(operation);
      time.after(faults.hit('webhook late') ? faults.random.between(1, LATE_MS) : 1, () => {
        pending -= 1;
        tell({ kind: request.kind, reference: request.id, answer });
      });
    }
  };

  const settle = (operation: Operation, { outcome, reason, webhooks }: Behaviour): void => {
    const before = { ...operation };
    operation.status = outcome === 'succeeded' ? 'succeeded' : 'declined';
    operation.reason = reason;
    if (webhooks === 'none') return;
    notify(operation);
    if (webhooks === 'twice') notify(operation);
    if (webhooks === 'out_of_order') notify(before);
  };

  const begin = (request: GatewayRequest, token: Token, behaviour: Behaviour): Operation => {
    const id = `${request.kind}_${operations.size + 1}`;
    const operation: Operation = { request, id, token, status: 'pending', reason: 'pending' };
    operations.set(request.idempotency_key, operation);
    if (behaviour.decided === 'at_once') settle(operation, { ...behaviour, webhooks: 'none' });
    else time.after(delayOf(behaviour), () => settle(operation, behaviour));
    return operation;
  };

  const carryOut = async (request: GatewayRequest): Promise<CallOutcome> => {
    if (gateway.down || faults.hit('gateway call fails')) return { outcome: 'error', reason: 'gateway_error' };
    const known = find(request);
    const token = known?.token ?? tokenOf(request, operations);
    if (typeof token === 'string') return { outcome: 'refused', reason: token };
    const behaviour = request.kind === 'charge' ? token.charge : token.refund;
    const failed = errors.get(request.idempotency_key) ?? 0;
    if (failed < behaviour.errorsFirst) {
      errors.set(request.idempotency_key, failed + 1);
      return { outcome: 'error', reason: 'gateway_error' };
    }
    if (behaviour.outcome === 'not_taken') return never();
    const operation = known ?? begin(request, token, behaviour);
    if (behaviour.answer === 'never') return never();
    if (behaviour.answer === 'outcome' && operation.status === 'pending')
      await new Promise<void>((resolve) => void time.after(delayOf(behaviour), resolve));
    return { outcome: 'answered', answer: answerOf(operation) };
  };

  const gateway: CardGateway = {
    carryOut,
    lookUp: (request) => {
      if (gateway.down || faults.hit('gateway call fails')) return { outcome: 'error', reason: 'gateway_error' };
      const found = find(request);
      return found === undefined ? { outcome: 'not_found' } : { outcome: 'answered', answer: answerOf(found) };
    },
    down: false,
    record: () => recordOf([...operations.values()]),
    get pending() {
      return pending;
    },
  };
  return gateway;
}

/** Made anew each time: one promise for all would hold on to everything that ever waited for it. */
function never(): Promise<never> {
  return new Promise(() => undefined);
}

function delayOf({ decided }: Behaviour): number {
  return { at_once: 0, after_slow: SLOW_MS, after_async: ASYNC_MS }[decided];
}

/** The token of a charge, or of the charge that a refund is of; or why it is refused. */
function tokenOf(request: GatewayRequest, operations: ReadonlyMap<string, Operation>): Token | string {
  if (request.kind === 'charge') return TOKENS.get(request.payment_token ?? DEFAULT_TOKEN) ?? 'unknown_token';
  const all = [...operations.values()].filter((each) => each.request.payment_id === request.payment_id);
  const charge = all.find((each) => each.request.kind === 'charge');
  if (charge === undefined) return 'charge_not_found';
  if (charge.status !== 'succeeded') return 'charge_not_refundable';
  const refunded = all
    .filter((each) => each.request.kind === 'refund' && each.status !== 'declined')
    .reduce((sum, each) => sum + each.request.amount_minor, 0);
  return refunded + request.amount_minor > charge.request.amount_minor ? 'refund_exceeds_charge' : charge.token;
}

function answerOf({ request, id, status, reason }: Operation): Answer {
  const { idempotency_key, amount_minor, currency } = request;
  return {
    status,
    reason: status === 'succeeded' ? 'success' : reason,
    gateway_payment_id: id,
    idempotency_key,
    amount_minor,
    currency,
  };
}

function recordOf(operations: readonly Operation[]): readonly RecordedCharge[] {
  const refunded = new Map<string, number>();
  for (const { request, status } of operations) {
    if (request.kind === 'charge' || status !== 'succeeded') continue;
    refunded.set(request.payment_id, (refunded.get(request.payment_id) ?? 0) + request.amount_minor);
  }
  return operations
    .filter(({ request }) => request.kind === 'charge')
    .map(({ request, status }) => ({
      reference: request.payment_id,
      currency: request.currency,
      amount_minor: request.amount_minor,
      taken: status === 'succeeded',
      refunded_minor: refunded.get(request.payment_id) ?? 0,
    }));
}
