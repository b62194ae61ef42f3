import { setTimeout as sleep } from 'node:timers/promises';
import { createClient, NoAnswerError } from '../../src/cli/client.ts';
import { CURRENCY } from './wallets.ts';

/** Payments of which it is remembered which were acknowledged. */
export interface RecordedLoad {
  /** The ids of the payments acknowledged so far. */
  readonly acknowledged: readonly string[];
  /** Requests that were refused, or not answered: they may have had an effect or not. */
  readonly failed: number;
  /** Ends it after what is under way. */
  stop(): Promise<void>;
}

const CREATED = 201;
const RETRY_MS = 50;
const AMOUNT = 1.25;

/** Wallet payments from so many clients, each with one on its way; while nobody answers they go on trying. */
export function startRecordedLoad(url: string, connections: number, customers: readonly string[]): RecordedLoad {
  const client = createClient(url, connections);
  const acknowledged: string[] = [];
  let failed = 0;
  let sent = 0;
  let stopping = false;

  const run = async (): Promise<void> => {
    while (!stopping) {
      const customer_id = customers[sent++ % customers.length]!;
      const body = { amount: AMOUNT, currency: CURRENCY, method: 'wallet', customer_id };
      const answer = await client.send('POST', '/payments', { body }).catch(whenNobodyAnswers);
      if (answer?.status === CREATED) acknowledged.push((answer.body as { id: string }).id);
      else {
        failed += 1;
        await sleep(RETRY_MS);
      }
    }
  };

  const finished = Promise.all(Array.from({ length: connections }, run));
  return {
    acknowledged,
    get failed() {
      return failed;
    },
    stop: async () => {
      stopping = true;
      await finished;
      client.close();
    },
  };
}

/** An answer that never came is undefined. @throws any other error */
export function whenNobodyAnswers(cause: unknown): undefined {
  if (!(cause instanceof NoAnswerError)) throw cause;
  return undefined;
}
