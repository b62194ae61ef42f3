import { hash } from 'node:crypto';
import { RequestError, toError, UnavailableError } from '#kernel/core/errors.ts';
import { namedUuid } from '#kernel/core/ids.ts';
import { answerResult } from '#kernel/http/answer.ts';
import { answerKeysOf } from '#kernel/http/idempotency.ts';
import type { AnswerKey, ExecuteRequest, StreamCommand } from '#kernel/processor/execute.ts';
import { STOCK } from '#services/inventory/contract.ts';
import { PAYMENT } from '#services/payments/contract.ts';
import { PURCHASE, purchaseIdOf } from '#services/purchases/contract.ts';
import { WALLET, walletIdOf } from '#services/wallets/contract.ts';
import type { ServiceName } from '#src/config.ts';
import type { Random } from '../support/random.ts';
import type { Process, World } from './process.ts';
import { type BuyOperation, PRODUCTS } from './shop.ts';
import { CURRENCY } from './terms.ts';
import { describeOperation, type Operation, OVERDRAFT_MINOR, type PayOperation } from './workload.ts';

/** What a client was told for good. */
export interface Acknowledged {
  readonly status: number;
  /** The id of what was made; empty for a refusal. */
  readonly id: string;
  /** Why it was refused. */
  readonly code?: string;
}

/** The clients and operators: each asks again, with the same key, until it is told something for good. */
export interface Clients {
  /** Begins an operation. */
  begin(operation: Operation): void;
  /** What was told, by operation. */
  readonly told: ReadonlyMap<Operation, Acknowledged>;
  /** Answers that contradict each other, or that nobody understands. */
  readonly complaints: readonly string[];
  readonly waiting: number;
}

/** What others speak of. */
type Begun = PayOperation | BuyOperation;

const SERVICE_OF: Readonly<Record<Operation['kind'], ServiceName>> = {
  open: 'wallets',
  move: 'wallets',
  pay: 'payments',
  refund: 'payments',
  operate: 'payments',
  stock: 'inventory',
  buy: 'purchases',
  cancel: 'purchases',
};

const PATIENCE_MS = 3_000;
const PAUSE_MS = 200;
const LONGEST_PAUSE_MS = 5_000;
const FOREVER = Date.UTC(2200, 0, 1);

/**
 * @param choose a process that runs the service, if one does
 * @param isApproved whether the payment of this id is approved by now
 */
export function createClients(
  world: World,
  random: Random,
  choose: (service: ServiceName) => Process | undefined,
  isApproved: (payment: string) => boolean,
): Clients {
  const { time, faults, note } = world;
  const told = new Map<Operation, Acknowledged>();
  const complaints: string[] = [];
  const made = new Map<Begun, string>();
  let waiting = 0;

  /** Refunds of payments that had been approved before: whoever says that they were not has missed something. */
  const refundable = new Set<Operation>();

  /** What is asked for about payments and purchases that nobody was told the id of yet. */
  const postponed = new Map<Begun, Operation[]>();

  const begin = (operation: Operation): void => {
    waiting += 1;
    if ('of' in operation && !made.has(operation.of))
      postponed.set(operation.of, [...(postponed.get(operation.of) ?? []), operation]);
    else ask(operation);
  };

  const ask = (operation: Operation): void => {
    if (operation.kind === 'refund' && isApproved(made.get(operation.of) ?? '')) refundable.add(operation);
    const asked = askedOf(operation);
    attempt(operation, asked, 1);
    if (faults.hit('request twice')) attempt(operation, asked, 2);
  };

  const attempt = (operation: Operation, asked: Asked, number: number): void => {
    if (told.has(operation)) return;
    const pauseMs = random.between(1, Math.min(LONGEST_PAUSE_MS, PAUSE_MS * number ** 2));
    const again = (): void => void time.after(pauseMs, () => attempt(operation, asked, number + 2));
    const service = SERVICE_OF[operation.kind];
    const process = choose(service);
    const executor = process?.running?.processors.get(service);
    if (executor === undefined) {
      again();
      return;
    }
    const request = requestOf(operation, asked, number, made);
    let over = false;
    const once = (work: () => void): void => {
      if (over) return;
      over = true;
      endPatience();
      work();
    };
    const endPatience = time.after(PATIENCE_MS, () => once(again));
    process!.machine.call(() => {
      executor.execute(request).then(
        ({ answer }) => once(() => (faults.hit('client answer lost') ? again() : hear(operation, answer))),
        (error) => once(() => refuse(operation, toError(error), again)),
      );
    });
  };

  const hear = (operation: Operation, answer: Acknowledged): void => {
    const before = told.get(operation);
    if (before !== undefined) {
      if (before.status !== answer.status || before.id !== answer.id)
        complaints.push(
          `${describeOperation(operation)} was answered ${before.status} ${before.id}, then ${answer.status} ${answer.id}`,
        );
      return;
    }
    if (refundable.has(operation) && answer.code === 'payment_not_refundable')
      complaints.push(`${describeOperation(operation)} was refused, though its payment was approved before`);
    told.set(operation, answer);
    waiting -= 1;
    note(`client: ${describeOperation(operation)}: ${answer.status} ${answer.id}`);
    if (operation.kind !== 'pay' && operation.kind !== 'buy') return;
    made.set(operation, answer.id);
    for (const each of postponed.get(operation) ?? []) ask(each);
  };

  const refuse = (operation: Operation, error: Error, again: () => void): void => {
    if (error instanceof UnavailableError) {
      again();
      return;
    }
    if (error instanceof RequestError && error.code === 'reference_reused') {
      hear(operation, { status: 409, id: '' });
      return;
    }
    if (error instanceof RequestError && error.retryAfter !== undefined) {
      again();
      return;
    }
    complaints.push(`${describeOperation(operation)} failed: ${error.name}: ${error.message}`);
    hear(operation, { status: 500, id: '' });
  };

  return {
    begin,
    told,
    complaints,
    get waiting() {
      return waiting;
    },
  };
}

/** Ids of payments and purchases are of version 7: those of version 8 are of payments for purchases. */
function asVersion7(id: string): string {
  return purchaseIdOf(id) ?? id;
}

/** What every attempt at an operation has in common, as the routes make it. */
interface Asked {
  readonly name: string;
  readonly traceId: string;
  readonly keys: readonly AnswerKey[];
}

function askedOf(operation: Operation): Asked {
  const name = describeOperation(operation);
  const headers = { 'idempotency-key': name };
  const keys = answerKeysOf({ method: 'POST', url: `/${operation.kind}`, headers, body: { name } }, FOREVER);
  return {
    name,
    traceId: hash('sha256', name, 'hex').slice(0, 32),
    keys: [...keys, ...referenceKeys(operation)],
  };
}

/** The request of an operation, as the routes make it. */
function requestOf(
  operation: Operation,
  { name, traceId, keys }: Asked,
  attempt: number,
  begun: ReadonlyMap<Begun, string>,
): ExecuteRequest<Acknowledged> {
  const made = asVersion7(namedUuid(name, String(attempt)));
  const about = 'of' in operation ? begun.get(operation.of)! : made;
  const [command, id] = commandOf(operation, about, made, traceId);
  return {
    commands: [command],
    keys,
    traceId,
    answer: ([result]) => {
      const { status, body } = answerResult(result, traceId, 201, () => ({ id }));
      return 'id' in body ? { status, id: body.id } : { status, id: '', code: body.code };
    },
  };
}

function commandOf(
  operation: Operation,
  about: string,
  made: string,
  traceId: string,
): readonly [StreamCommand, id: string] {
  switch (operation.kind) {
    case 'open': {
      const { userId, currency } = operation;
      const id = walletIdOf(userId);
      const command = { type: 'OpenWallet', walletId: id, userId, currency, overdraftLimitMinor: OVERDRAFT_MINOR };
      return [{ aggregate: WALLET, id, command }, id];
    }
    case 'move': {
      const { type, userId, amountMinor, reference } = operation;
      const command = { type, amountMinor, reason: 'deposit', reference, traceId };
      return [{ aggregate: WALLET, id: walletIdOf(userId), command }, reference];
    }
    case 'pay': {
      const { customerId, method, token, amountMinor } = operation;
      const payment = { paymentId: made, customerId, method, amountMinor, currency: CURRENCY, traceId };
      const command = { type: 'CreatePayment', ...payment, ...(token !== undefined && { paymentToken: token }) };
      return [{ aggregate: PAYMENT, id: made, command, fresh: true }, made];
    }
    case 'refund': {
      const amount = operation.amountMinor === undefined ? {} : { amountMinor: operation.amountMinor };
      const command = { type: 'RequestRefund', refundId: made, reason: 'returned', ...amount };
      return [{ aggregate: PAYMENT, id: about, command }, made];
    }
    case 'operate':
      return [{ aggregate: PAYMENT, id: about, command: { type: operation.type } }, about];
    case 'stock': {
      const { productId, change } = operation;
      const command = { type: 'AdjustStock', productId, change, reason: 'delivery', traceId };
      return [{ aggregate: STOCK, id: productId, command }, productId];
    }
    case 'buy': {
      const { customerId, method, token, lines } = operation;
      const paymentToken = token === undefined ? {} : { paymentToken: token };
      const priced = lines.map((line) => ({ ...line, ...offerOf(line.productId) }));
      const order = { purchaseId: made, customerId, method, currency: CURRENCY, lines: priced, traceId };
      const command = { type: 'CreatePurchase', ...order, ...paymentToken };
      return [{ aggregate: PURCHASE, id: made, command, fresh: true }, made];
    }
    case 'cancel': {
      const units = operation.units === undefined ? {} : { units: operation.units };
      return [{ aggregate: PURCHASE, id: about, command: { type: 'CancelPurchase', reason: 'test', ...units } }, about];
    }
  }
}

function offerOf(productId: string) {
  const { sku, priceMinor } = PRODUCTS.find((each) => each.productId === productId)!;
  return { sku, name: sku, unitPriceMinor: priceMinor };
}

/** See `referenceKey` of the wallets' routes. */
function referenceKeys(operation: Operation): readonly AnswerKey[] {
  if (operation.kind !== 'move') return [];
  const { type, userId, amountMinor, reference } = operation;
  const requestHash = hash('sha256', `${type} ${amountMinor} ${CURRENCY}`, 'hex');
  return [{ scope: `wallet:${walletIdOf(userId)}`, key: reference, requestHash, expiresAt: FOREVER }];
}
