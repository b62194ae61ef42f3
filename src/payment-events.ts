import { RequestError } from '#kernel/core/errors.ts';
import type { RecordedEvent } from '#kernel/core/event.ts';
import type { Store, StreamRef } from '#kernel/event-store/store.ts';
import { FRAUD, fraudStreamIdOf } from '#services/fraud/contract.ts';
import { CHARGE, GATEWAY_REFUND } from '#services/gateway/contract.ts';
import { PAYMENT } from '#services/payments/contract.ts';
import { WALLET, walletIdOf } from '#services/wallets/contract.ts';

type Reader = Pick<Store, 'readStream' | 'loadStreams'>;

/** A payment with the most refunds has fewer events. */
const MAX_PAYMENT_EVENTS = 10_000;
const PAGE_EVENTS = 500;
/** The answer to a request is looked for in so many pages after it: streams of customers and wallets may be long. */
const MAX_PAGES = 40;
/** The clocks of two machines may differ by so much. */
const CLOCK_SKEW_MS = 200;
/** No snapshot has this version: streams are read whole. */
const NO_SNAPSHOT = -1;

/**
 * Every event of one payment, of whatever service: its own stream, those of its charge and refunds at the gateway, and
 * the answers to its requests in the streams of its customer's fraud checks and wallet. A cause comes before its effect.
 * @throws RequestError `payment_not_found`
 */
export async function eventsOfPayment(store: Reader, paymentId: string): Promise<readonly RecordedEvent[]> {
  const own = await store.readStream({ type: PAYMENT, id: paymentId }, { limit: MAX_PAYMENT_EVENTS });
  if (own.length === 0) throw new RequestError('payment_not_found', 'there is no such payment');
  const atGateway = await store.loadStreams(gatewayStreams(paymentId, own));
  const answers = await Promise.all(searchesFor(paymentId, own).map((search) => findAfter(store, search)));
  const events = [
    ...own,
    ...atGateway.flatMap((stream) => stream.events),
    ...answers.filter((event) => event !== undefined),
  ];
  return inCausalOrder(events);
}

function gatewayStreams(paymentId: string, own: readonly RecordedEvent[]) {
  const refunds = own
    .filter((event) => event.type === 'gateway.refund.requested')
    .map((event) => event.data.refund_id as string);
  const streams: StreamRef[] = [...new Set(refunds)].map((id) => ({ type: GATEWAY_REFUND, id }));
  if (own.some((event) => event.type === 'gateway.charge.requested')) streams.push({ type: CHARGE, id: paymentId });
  return streams.map((stream) => ({ ...stream, stateVersion: NO_SNAPSHOT }));
}

/** What is looked for in a stream that belongs to others too. */
interface Search {
  readonly stream: StreamRef;
  /** Milliseconds since 1970. */
  readonly since: number;
  matches(event: RecordedEvent): boolean;
}

function searchesFor(paymentId: string, own: readonly RecordedEvent[]): readonly Search[] {
  const customer: string = own[0]!.data.customer_id;
  const fraud = { type: FRAUD, id: fraudStreamIdOf(customer) };
  const wallet = { type: WALLET, id: walletIdOf(customer) };
  const searches = new Map<string, Search>();
  for (const { type, time, data } of own) {
    if (type === 'payments.created')
      searches.set('check', { stream: fraud, since: time, matches: (event) => event.data.id === paymentId });
    const refundId: string | undefined = data.refund_id;
    if (type !== 'wallet.debit.requested' && type !== 'wallet.credit.requested') continue;
    const matches = (event: RecordedEvent) => event.data.payment_id === paymentId && event.data.refund_id === refundId;
    // A request that was repeated has one answer, after the first time.
    if (!searches.has(refundId ?? 'debit')) searches.set(refundId ?? 'debit', { stream: wallet, since: time, matches });
  }
  return [...searches.values()];
}

async function findAfter(store: Reader, { stream, since, matches }: Search): Promise<RecordedEvent | undefined> {
  let from = await firstPositionSince(store, stream, since - CLOCK_SKEW_MS);
  for (let page = 0; page < MAX_PAGES; page++) {
    const events = await store.readStream(stream, { from, limit: PAGE_EVENTS });
    const found = events.find(matches);
    if (found !== undefined || events.length < PAGE_EVENTS) return found;
    from = events.at(-1)!.streamPosition + 1;
  }
  return undefined;
}

/** The events of a stream follow one another in time: where those since a moment begin, by halving. */
async function firstPositionSince(store: Reader, stream: StreamRef, since: number): Promise<number> {
  const [last] = await store.readStream(stream, { limit: 1, backwards: true });
  let low = 1;
  let high = last?.streamPosition ?? 1;
  while (high - low > PAGE_EVENTS) {
    const middle = Math.floor((low + high) / 2);
    const [event] = await store.readStream(stream, { from: middle, limit: 1 });
    if (event !== undefined && event.time < since) low = middle;
    else high = middle;
  }
  return low;
}

/** By time, but never an effect before its cause, nor an event before the one before it in its stream. */
export function inCausalOrder(events: readonly RecordedEvent[]): readonly RecordedEvent[] {
  const byTime = [...events].sort((a, b) => a.time - b.time || (a.id < b.id ? -1 : 1));
  const byId = new Map(events.map((event) => [event.id, event]));
  const byPlace = new Map(events.map((event) => [placeOf(event, event.streamPosition), event]));
  const ordered = new Set<RecordedEvent>();
  const add = (event: RecordedEvent | undefined): void => {
    if (event === undefined || ordered.has(event)) return;
    add(byPlace.get(placeOf(event, event.streamPosition - 1)));
    add(byId.get(event.metadata.causationid ?? ''));
    ordered.add(event);
  };
  for (const event of byTime) add(event);
  return [...ordered];
}

function placeOf(event: RecordedEvent, position: number): string {
  return `${event.aggregateType}/${event.aggregateId}/${position}`;
}
