import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, type HttpAnswer, NoAnswerError, problemOf, type RequestOptions } from './client.ts';

const MAX_ATTEMPTS = 120;
const RETRY_PAUSE_S = 1;

/** Asks again while the server is busy or away: for requests that may be repeated. */
export async function persist(
  client: Client,
  method: string,
  path: string,
  options: RequestOptions,
): Promise<HttpAnswer> {
  for (let attempt = 1; ; attempt++) {
    try {
      const answer = await client.send(method, path, options);
      const pause = retryPause(answer);
      if (pause === undefined || attempt === MAX_ATTEMPTS) return answer;
      await sleep(pause * 1000);
    } catch (cause) {
      if (!(cause instanceof NoAnswerError) || attempt === MAX_ATTEMPTS) throw cause;
      await sleep(RETRY_PAUSE_S * 1000);
    }
  }
}

/** Seconds after which the request may succeed; undefined: the answer is final. */
function retryPause(answer: HttpAnswer): number | undefined {
  const busy = [429, 503].includes(answer.status) || problemOf(answer).code === 'idempotency_key_in_progress';
  return busy ? Number(answer.headers['retry-after'] ?? RETRY_PAUSE_S) : undefined;
}
