import type { Random } from '../../support/random.ts';
import type { Harness, Server } from '../harness.ts';
import type { World } from '../world.ts';

/** What a disaster has at hand. */
export interface Scene<Where extends World> {
  readonly harness: Harness;
  readonly world: Where;
  readonly random: Random;
  /** Nothing else is broken at the same time, so that what goes on meanwhile can be asserted. */
  readonly alone: boolean;
  /** Something that should not have been. */
  report(finding: string): void;
  /** Resolves when a new payment has come to its end by itself. @param through the server that is asked; else any */
  goesOn(through?: Server): Promise<void>;
  /** How often clients were told 503 so far. */
  refusals(): number;
}

/** Gives back what was taken. Afterwards payments must be accepted again, and at least one server was told to start. */
export type Mend = () => Promise<void>;

/** How long a server may take to refuse. */
const REFUSAL_LIMIT_MS = 30_000;

/** Something that goes wrong, for as long as `strike` takes and until it is mended. */
export interface Disaster<Where extends World = World> {
  /** So many servers run before. */
  readonly servers?: 2;
  /** Takes so much away, or asserts so much, that nothing else can be broken at the same time. */
  readonly onlyAlone?: true;
  strike(scene: Scene<Where>): Promise<Mend>;
}

export type Disasters<Where extends World = World> = Readonly<Record<string, Disaster<Where>>>;

/** There is nothing to be done: the platform must find its way by itself. */
export const BY_ITSELF: Mend = async () => undefined;

/** While PostgreSQL is away, a client is told to come again, and when. */
export async function refusesUnavailable({ url }: Server, report: (finding: string) => void): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify({ amount: 1, currency: 'USD', method: 'wallet', customer_id: 'nobody' });
  const signal = AbortSignal.timeout(REFUSAL_LIMIT_MS);
  const response = await fetch(`${url}/payments`, { method: 'POST', headers, body, signal });
  await response.body?.cancel();
  const retryAfter = response.headers.get('retry-after');
  if (response.status !== 503 || retryAfter === null) {
    report(`without PostgreSQL a payment was answered ${response.status}, Retry-After ${retryAfter}`);
  }
}
