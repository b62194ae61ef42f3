import { setTimeout as sleep } from 'node:timers/promises';

const CALL_LIMIT_MS = 20_000;
const UNREACHABLE_PAUSE_MS = 200;
const FAULT_PAUSE_MS = 1000;

/** A request as it is sent, again and again with the same key until it is answered. */
export interface Request {
  /** The Idempotency-Key. */
  readonly key: string;
  readonly path: string;
  readonly body: Readonly<Record<string, unknown>>;
  /** Seconds of `Prefer: wait`; 0: none. */
  readonly wait?: number;
}

/** What is read of an answer's body: of what was made, or of the problem. */
export interface Body {
  readonly id?: string;
  readonly status?: string | number;
  readonly code?: string;
}

/** The answer that stands. */
export interface Answer {
  readonly status: number;
  readonly body: Body;
}

interface RetryAfter {
  /** Seconds. */
  readonly retryAfter: number | undefined;
}

/** A client as it should be: it tries again what may pass, under the same key, when it is told to. */
export interface Client {
  /** Resolves with the first answer that is final; undefined when `giveUp` said so before. @param only the server to ask */
  send(request: Request, giveUp: () => boolean, only?: string): Promise<Answer | undefined>;
  /** @param only the server to ask @throws Error when it is not answered with 200 */
  get<Shown>(path: string, only?: string): Promise<Shown>;
  /** Answers that no client should get, counted by what is wrong. */
  readonly complaints: ReadonlyMap<string, number>;
  /** How often each answer came that asked to come again; 0: no answer at all. */
  readonly repeated: ReadonlyMap<number, number>;
}

/** @param urls where servers may be at this moment */
export function createClient(urls: () => readonly string[]): Client {
  const complaints = new Map<string, number>();
  const repeated = new Map<number, number>();
  let turn = 0;

  const call = async (request: Request, known: readonly string[]): Promise<Answer & RetryAfter> => {
    if (known.length === 0) return NOT_ANSWERED;
    const url = known[turn++ % known.length]!;
    const headers: Record<string, string> = { 'content-type': 'application/json', 'idempotency-key': request.key };
    if (request.wait) headers.prefer = `wait=${request.wait}`;
    const init = { method: 'POST', headers, body: JSON.stringify(request.body) };
    try {
      const response = await fetch(url + request.path, { ...init, signal: AbortSignal.timeout(CALL_LIMIT_MS) });
      const retryAfter = response.headers.get('retry-after');
      const body = (await response.json()) as Body;
      return { status: response.status, body, retryAfter: retryAfter === null ? undefined : Number(retryAfter) };
    } catch {
      // The server was killed, or is not there yet: whether the request took effect is what its key will tell.
      return NOT_ANSWERED;
    }
  };

  const send: Client['send'] = async (request, giveUp, only) => {
    while (!giveUp()) {
      const answer = await call(request, only === undefined ? urls() : [only]);
      const pause = pauseAfter(answer);
      if (pause === undefined) return { status: answer.status, body: answer.body };
      count(repeated, answer.status);
      const complaint = complaintAbout(answer);
      if (complaint !== undefined) count(complaints, complaint);
      await sleep(pause);
    }
    return undefined;
  };

  const get = async <Shown>(path: string, only = urls()[0]): Promise<Shown> => {
    const response = await fetch(only + path, { signal: AbortSignal.timeout(CALL_LIMIT_MS) });
    if (response.ok) return (await response.json()) as Shown;
    throw new Error(`GET ${path} was answered ${response.status}: ${await response.text()}`);
  };

  return { send, get, complaints, repeated };
}

const NOT_ANSWERED = { status: 0, body: {}, retryAfter: undefined };

/** Milliseconds until the request is sent again; undefined: the answer is final. */
function pauseAfter(answer: Answer & RetryAfter): number | undefined {
  const { status, body, retryAfter } = answer;
  if (status === 0) return UNREACHABLE_PAUSE_MS;
  const passes = status === 429 || status >= 500 || body.code === 'idempotency_key_in_progress';
  if (!passes) return undefined;
  return retryAfter === undefined ? FAULT_PAUSE_MS : retryAfter * 1000;
}

/** What a client may be told to come again with: 503, 429 or 409, each with the time. */
function complaintAbout(answer: Answer & RetryAfter): string | undefined {
  const { status, body, retryAfter } = answer;
  if (status === 0) return undefined;
  const code = `${status} ${body.code}`;
  if (!['503 unavailable', '429 too_many_requests', '409 idempotency_key_in_progress'].includes(code)) return code;
  return retryAfter === undefined ? `${code} without Retry-After` : undefined;
}

function count<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
