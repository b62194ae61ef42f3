import { setTimeout as sleep } from 'node:timers/promises';
import { formatAmount } from '#kernel/core/money.ts';
import type { Random } from '../support/random.ts';
import type { Book, Operation } from './book.ts';
import type { Client } from './client.ts';

const USERS = 16;
const CURRENCIES = ['USD', 'EUR', 'JPY'];
const OPENING_MINOR = 100_000;
const MAX_PAYMENT_MINOR = 8_000;
const WORKERS = 24;
const WAIT_SECONDS = 2;
/** How long the last requests may take to be answered once the load has ended. */
const DRAIN_LIMIT_MS = 120_000;

const times = <T>(count: number, item: T): T[] => Array<T>(count).fill(item);

/** Kinds of requests by how often they come. */
const MIX = [
  ...times(12, 'wallet payment' as const),
  ...times(10, 'card payment' as const),
  ...times(5, 'refund' as const),
  ...times(3, 'credit' as const),
  ...times(2, 'debit' as const),
  ...times(2, 'repetition' as const),
];

/** Card tokens by how often they come: those whose calls hang are few, as each holds a payment up for many seconds. */
const TOKENS = [
  ...times(10, 'tok_visa'),
  ...times(4, 'tok_mastercard'),
  ...['tok_declined', 'tok_insufficient_funds', 'tok_stolen', 'tok_refund_fails'],
  ...['tok_async', 'tok_async', 'tok_webhook_twice', 'tok_webhook_late', 'tok_refund_async'],
  ...['tok_error_then_ok', 'tok_timeout_charged', 'tok_refund_timeout'],
];

/** Clients that pay, refund, and move money, all the time. */
export interface Load {
  /** Opens the wallets and fills them. */
  open(): Promise<void>;
  start(): void;
  /** Sends nothing new, and waits until all that was sent is answered. */
  stop(): Promise<void>;
  /** Gives up what is not answered yet. */
  abandon(): void;
  /** Requests that never were answered. */
  readonly unanswered: readonly string[];
}

export interface LoadPorts {
  readonly client: Client;
  readonly book: Book;
  readonly random: Random;
  readonly requestsPerSecond: number;
}

export function createLoad({ client, book, random, requestsPerSecond }: LoadPorts): Load {
  const users = Array.from({ length: USERS }, (_, i) => `user-${i}`);
  const unanswered: string[] = [];
  let sent = 0;
  let stopping = false;
  let giveUpAt = Number.POSITIVE_INFINITY;
  let workers: readonly Promise<void>[] = [];

  const currencyOf = (userId: string): string => CURRENCIES[users.indexOf(userId) % CURRENCIES.length]!;
  const nextKey = (): string => `request-${sent++}`;
  /** One of them takes a third of everything. */
  const someUser = (): string => (random.chance(0.3) ? users[0]! : random.pick(users));
  const money = (userId: string, amountMinor: number) => {
    const currency = currencyOf(userId);
    return { amount: formatAmount(amountMinor, currency), currency };
  };

  const pay = (card: boolean): Operation => {
    const userId = someUser();
    const amountMinor = random.between(1, MAX_PAYMENT_MINOR);
    const key = nextKey();
    const method = card ? 'credit_card' : 'wallet';
    const customer_id = card && random.chance(0.03) ? 'blocked-customer' : userId;
    const token = card ? { payment_token: random.pick(TOKENS) } : {};
    const body = { ...money(userId, amountMinor), method, customer_id, ...token, metadata: { key } };
    const wait = random.chance(0.2) ? WAIT_SECONDS : 0;
    return { kind: 'payment', request: { key, path: '/payments', body, wait }, userId, amountMinor, method };
  };

  const refund = (): Operation | undefined => {
    const payments = book.accepted('payment');
    if (payments.length === 0) return undefined;
    const { id, userId, amountMinor: paid } = random.pick(payments);
    const amountMinor = random.between(1, paid);
    const key = nextKey();
    const body = { amount: money(userId, amountMinor).amount, reason: key };
    return {
      kind: 'refund',
      request: { key, path: `/payments/${id}/refunds`, body },
      userId,
      amountMinor,
      paymentId: id,
    };
  };

  const move = (kind: 'credit' | 'debit', userId: string, amountMinor: number): Operation => {
    const key = nextKey();
    const body = { ...money(userId, amountMinor), reason: 'test', reference: key };
    return { kind, request: { key, path: `/wallets/${userId}/${kind}s`, body }, userId, amountMinor };
  };

  const choose = (): Operation | undefined => {
    const kind = random.pick(MIX);
    if (kind === 'refund') return refund();
    if (kind === 'credit' || kind === 'debit') return move(kind, someUser(), random.between(1, MAX_PAYMENT_MINOR));
    return kind === 'repetition' ? undefined : pay(kind === 'card payment');
  };

  const giveUp = (): boolean => Date.now() > giveUpAt;

  const perform = async (operation: Operation): Promise<void> => {
    const answer = await client.send(operation.request, giveUp);
    if (answer === undefined) unanswered.push(operation.request.key);
    else book.note(operation, answer);
  };

  const repeat = async (): Promise<void> => {
    if (book.acknowledged.length === 0) return;
    const first = random.pick(book.acknowledged);
    const answer = await client.send({ ...first.request, wait: 0 }, giveUp);
    if (answer !== undefined) book.noteRepeated(first, answer);
  };

  const work = async (): Promise<void> => {
    while (!stopping) {
      const operation = choose();
      await (operation === undefined ? repeat() : perform(operation));
      await sleep(random.between(0, (2 * 1000 * WORKERS) / requestsPerSecond));
    }
  };

  return {
    unanswered,
    open: async () => {
      for (const userId of users) {
        const body = { user_id: userId, currency: currencyOf(userId) };
        await perform({
          kind: 'wallet',
          request: { key: nextKey(), path: '/wallets', body },
          userId,
          amountMinor: 0,
        });
        await perform(move('credit', userId, OPENING_MINOR));
      }
    },
    start: () => {
      stopping = false;
      giveUpAt = Number.POSITIVE_INFINITY;
      workers = Array.from({ length: WORKERS }, () => work());
    },
    stop: async () => {
      stopping = true;
      giveUpAt = Date.now() + DRAIN_LIMIT_MS;
      await Promise.all(workers);
    },
    abandon: () => {
      stopping = true;
      giveUpAt = 0;
    },
  };
}
