import type { RecordedEvent } from '#kernel/core/event.ts';
import { isUuid } from '#kernel/core/ids.ts';
import { type LogPosition, positionIn } from '#kernel/core/log-position.ts';
import type { StreamRef } from '#kernel/event-store/store.ts';
import { CHARGE, GATEWAY_REFUND } from '#services/gateway/contract.ts';
import { PAYMENT } from '#services/payments/contract.ts';
import { walletIdOf } from '#services/wallets/contract.ts';
import type { Past, PastPayment } from '#src/invariants/memory.ts';
import type { Books } from './books.ts';

/** No snapshot has this version: streams are read whole. */
const NO_SNAPSHOT = -1;
/** Events of a wallet that are looked at for the answer to a payment that still waits for it. */
const LOOK_BACK_EVENTS = 500;
/** The clocks of two machines may differ by so much. */
const CLOCK_SKEW_MS = 1000;

type PastBooks = Pick<Books, 'streams' | 'movements' | 'walletsBefore' | 'inOrder'>;

/**
 * The past of payments and wallets from the streams, for many of them in a handful of statements. A payment's own stream
 * tells what its wallet answered, once it has acted on it; only for one that still waits is the wallet's stream searched.
 */
export function createPast(books: PastBooks): Past {
  const { streams } = books;
  return {
    paymentsAt: async (ids, position, walletPosition) => {
      const own = await load(
        streams,
        position,
        ids.filter(isUuid).map((id) => ({ type: PAYMENT, id })),
      );
      const events = [...own, ...(await load(streams, position, own.flatMap(atGateway)))];
      const byPayment = new Map(ids.map((id) => [id, [] as RecordedEvent[]]));
      for (const event of events) byPayment.get(event.data.payment_id ?? event.data.id)?.push(event);
      return withMovements(byPayment, books, position, walletPosition);
    },
    walletsBefore: async (moments) => {
      const wallets = await books.walletsBefore(moments);
      return new Map(wallets.map((wallet) => [wallet.walletId, wallet]));
    },
  };
}

async function load(
  streams: PastBooks['streams'],
  position: LogPosition,
  wanted: readonly StreamRef[],
): Promise<RecordedEvent[]> {
  const unique = new Map(
    wanted.map((stream) => [`${stream.type} ${stream.id}`, { ...stream, stateVersion: NO_SNAPSHOT }]),
  );
  const loaded = await streams.loadStreams([...unique.values()]);
  return loaded.flatMap(({ events }) => events).filter((event) => isAt(event, position));
}

function isAt({ chain, chainPosition }: RecordedEvent, position: LogPosition): boolean {
  return chainPosition <= positionIn(position, chain);
}

/** The stream at the gateway that a request of a payment leads to. */
function atGateway({ type, data }: RecordedEvent): readonly StreamRef[] {
  if (type === 'gateway.charge.requested') return [{ type: CHARGE, id: data.payment_id }];
  return type === 'gateway.refund.requested' ? [{ type: GATEWAY_REFUND, id: data.refund_id }] : [];
}

/** A request to a wallet that the payment has no answer to. */
interface OpenRequest {
  readonly walletId: string;
  /** Milliseconds since 1970. */
  readonly since: number;
}

async function withMovements(
  payments: ReadonlyMap<string, RecordedEvent[]>,
  books: PastBooks,
  position: LogPosition,
  walletPosition: (walletId: string) => number | undefined,
): Promise<ReadonlyMap<string, PastPayment>> {
  const open = new Map([...payments].map(([id, events]) => [id, openRequest(events)]));
  const waiting = [...open].filter(([, request]) => request !== undefined);
  const walletIds = [...new Set(waiting.map(([, request]) => request!.walletId))];
  const searches = walletIds.map((walletId) => ({
    walletId,
    upTo: walletPosition(walletId) ?? Number.MAX_SAFE_INTEGER,
  }));
  const ids = waiting.map(([id]) => id);
  const { events, endedAt } =
    ids.length === 0 ? { events: [], endedAt: new Map() } : await books.movements(searches, ids, LOOK_BACK_EVENTS);
  for (const event of events) if (isAt(event, position)) payments.get(event.data.payment_id)!.push(event);
  return new Map(
    [...payments].map(([id, found]) => {
      const request = open.get(id);
      const end = request === undefined ? undefined : endedAt.get(request.walletId);
      return [id, { events: books.inOrder(found), blind: end !== undefined && end > request!.since - CLOCK_SKEW_MS }];
    }),
  );
}

/** The oldest request to the wallet that is not answered, as far as the payment's own stream tells. */
function openRequest(events: readonly RecordedEvent[]): OpenRequest | undefined {
  const requests = new Map<string, OpenRequest>();
  for (const { type, time, data } of events) {
    if (type === 'wallet.debit.requested' || type === 'wallet.credit.requested') {
      const key = data.refund_id ?? 'debit';
      if (!requests.has(key)) requests.set(key, { walletId: walletIdOf(data.user_id), since: time });
    } else if (type === 'payments.approved' || type === 'payments.declined') requests.delete('debit');
    else if (type === 'payments.refunded' || type === 'payments.refund.failed') requests.delete(data.refund_id);
    else if (type === 'payments.saga.advanced' && data.state === 'COMPENSATED') requests.clear();
  }
  return [...requests.values()].sort((a, b) => a.since - b.since)[0];
}
