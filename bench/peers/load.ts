import { setTimeout as sleep } from 'node:timers/promises';
import { createIdSource } from '#kernel/core/ids.ts';
import { createHistogram, type Histogram, percentilesOf } from '../load/histogram.ts';
import type { Peer, Transfer } from './peer.ts';
import type { CellOptions, CellReport } from './protocol.ts';

/** Transfers by a peer, as fast as so many callers can. */
export interface PeerLoad {
  measure(cell: CellOptions): Promise<CellReport>;
  /** How many transfers were told to be done since the beginning. */
  readonly told: number;
}

/** Callers wait so long for their last answer. */
const FINISH_LIMIT_MS = 30_000;
const MAX_AMOUNT_MINOR = 100;
/** After an error, so that a tool that always fails does not keep the process from measuring. */
const ERROR_PAUSE_MS = 1;

/** What the callers see of a measurement. */
interface Window {
  stopping: boolean;
  histogram: Histogram | undefined;
  refused: number;
  readonly errorKinds: Record<string, number>;
  active: number;
}

/** @param toldBefore transfers that were told to be done before */
export function createPeerLoad(peer: Peer, accounts: number, toldBefore: number): PeerLoad {
  const ids = createIdSource();
  let told = toldBefore;

  const nextTransfer = (hot: boolean): Transfer => {
    const to = hot ? 0 : below(accounts);
    const from = (to + 1 + below(accounts - 1)) % accounts;
    return { id: ids.uuid(), from, to, amountMinor: 1 + below(MAX_AMOUNT_MINOR) };
  };

  const call = async (window: Window, hot: boolean): Promise<void> => {
    while (!window.stopping) {
      const transfer = nextTransfer(hot);
      const started = performance.now();
      try {
        const outcome = await peer.transfer(transfer);
        if (outcome === 'done') told += 1;
        else window.refused += 1;
        if (outcome === 'done' && !window.stopping) window.histogram?.record(performance.now() - started);
      } catch (cause) {
        const kind = kindOf(cause);
        window.errorKinds[kind] = (window.errorKinds[kind] ?? 0) + 1;
        await sleep(ERROR_PAUSE_MS);
      }
    }
    window.active -= 1;
  };

  return {
    get told() {
      return told;
    },
    measure: async ({ concurrent, hot, warmUpMs, seconds }) => {
      const window: Window = {
        stopping: false,
        histogram: undefined,
        refused: 0,
        errorKinds: {},
        active: concurrent,
      };
      const callers = Promise.all(Array.from({ length: concurrent }, () => call(window, hot)));
      await sleep(warmUpMs);
      const histogram = createHistogram();
      window.histogram = histogram;
      const [started, usedBefore] = [performance.now(), process.cpuUsage()];
      await sleep(seconds * 1000);
      window.stopping = true;
      const took = (performance.now() - started) / 1000;
      const { user, system } = process.cpuUsage(usedBefore);
      await Promise.race([callers, sleep(FINISH_LIMIT_MS, undefined, { ref: false })]);
      return {
        done: histogram.count,
        seconds: took,
        ms: percentilesOf(histogram),
        refused: window.refused,
        errors: Object.values(window.errorKinds).reduce((sum, count) => sum + count, 0),
        errorKinds: window.errorKinds,
        unfinished: window.active,
        cores: Math.round(((user + system) / 1e6 / took) * 100) / 100,
      };
    },
  };
}

/** A whole number from 0, uniformly at random. */
function below(limit: number): number {
  return Math.floor(Math.random() * limit);
}

function kindOf(cause: unknown): string {
  const { code, name, message } = cause as Error & { code?: string };
  return `${code ?? name}: ${message}`.slice(0, 120);
}
