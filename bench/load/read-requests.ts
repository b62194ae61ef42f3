import { PAYMENT_STATUSES } from '#services/payments/contract.ts';
import type { ReadKind, ReadOptions } from './protocol.ts';

/** One look-up, ready to be sent, and what its answer must be about. */
export interface PreparedRead {
  readonly bytes: Buffer;
  readonly kind: ReadKind;
  /** The user of the wallet, or the payment's id. */
  readonly about: string;
}

/** Hands out look-ups in a fixed, mixed order. */
export interface ReadSource {
  next(): PreparedRead;
  /** This payment was just accepted. */
  written(id: string): void;
}

/** The payments accepted last that are looked up as new ones. */
const NEW_PAYMENTS = 64;
/** Multiples of the golden ratio, modulo 1, spread a share evenly (H. Weyl). */
const SPREAD = 0.618_033_988_749_895;
const STATUSES: ReadonlySet<unknown> = new Set(PAYMENT_STATUSES);

/** As long as no payment is accepted, the old ones are looked up in place of new ones, and counted as such. */
export function createReadSource({ port, balances, customers, payments }: ReadOptions): ReadSource {
  const prepare = (kind: ReadKind, path: string, about: string): PreparedRead => ({
    bytes: Buffer.from(`GET /api/v1${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`),
    kind,
    about,
  });
  const ofWallets = customers.map((user) => prepare('balance', `/wallets/${user}/balance`, user));
  const ofPayments = payments.map((id) => prepare('payment', `/payments/${id}`, id));
  const fresh: PreparedRead[] = [];
  let at = 0;
  let asked = 0;
  let written = 0;

  const nextPayment = (): PreparedRead => {
    asked += 1;
    const from = asked % 2 === 0 && fresh.length > 0 ? fresh : ofPayments;
    return from[(asked >> 1) % from.length]!;
  };
  return {
    next: () => {
      at += 1;
      return (at * SPREAD) % 1 < balances ? ofWallets[at % ofWallets.length]! : nextPayment();
    },
    written: (id) => {
      fresh[written % NEW_PAYMENTS] = prepare('new_payment', `/payments/${id}`, id);
      written += 1;
    },
  };
}

/** Whether the answer has the shape that is documented, and is about what was asked for. */
export function isRight({ kind, about }: PreparedRead, body: Buffer): boolean {
  const answer = JSON.parse(body.toString());
  if (kind === 'balance') return answer.user_id === about && Number.isSafeInteger(answer.balance_minor);
  const isOfPayment = answer.id === about && answer.amount_minor > 0;
  return isOfPayment && (kind === 'payment' ? answer.status === 'APPROVED' : STATUSES.has(answer.status));
}
