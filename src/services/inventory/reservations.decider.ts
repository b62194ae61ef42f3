/** Units that are kept for a purchase. */
export interface Reservation {
  readonly quantity: number;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
  readonly traceId: string;
}

/**
 * The open reservations of a product, by purchase. They are kept in buckets, so that with thousands of them a change copies
 * some hundreds of references and not all.
 */
export interface Reservations {
  readonly count: number;
  readonly buckets: Readonly<Record<string, Readonly<Record<string, Reservation>>>>;
}

export const NO_RESERVATIONS: Reservations = { count: 0, buckets: {} };

export function findReservation({ buckets }: Reservations, purchaseId: string): Reservation | undefined {
  return buckets[bucketOf(purchaseId)]?.[purchaseId];
}

/** With one that is not there yet. */
export function withReservation(
  { count, buckets }: Reservations,
  purchaseId: string,
  reservation: Reservation,
): Reservations {
  const name = bucketOf(purchaseId);
  return { count: count + 1, buckets: { ...buckets, [name]: { ...buckets[name], [purchaseId]: reservation } } };
}

/** The same when it is not there. */
export function withoutReservation(reservations: Reservations, purchaseId: string): Reservations {
  if (findReservation(reservations, purchaseId) === undefined) return reservations;
  const { count, buckets } = reservations;
  const name = bucketOf(purchaseId);
  const { [purchaseId]: _ended, ...others } = buckets[name]!;
  const { [name]: _before, ...otherBuckets } = buckets;
  const isEmpty = Object.keys(others).length === 0;
  return { count: count - 1, buckets: isEmpty ? otherBuckets : { ...otherBuckets, [name]: others } };
}

/** By the last two digits of the id, which are random: 256 of them. */
function bucketOf(purchaseId: string): string {
  return purchaseId.slice(-2);
}
