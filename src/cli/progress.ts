import { Presets, SingleBar } from 'cli-progress';

/** How far a long verb has come. */
export interface Progress {
  /** @param total when it turns out to be another than at first */
  update(done: number, total?: number): void;
  stop(): void;
}

const SILENT: Progress = { update: () => undefined, stop: () => undefined };
const REDRAW_PER_SECOND = 5;

/**
 * A progress bar on standard error, where a person watches; else nothing. It appears with the first update.
 * @param total may be 0 as long as it is not known
 */
export function createProgress(label: string, total: number, unit: string): Progress {
  if (!process.stderr.isTTY) return SILENT;
  const format = `${label} {bar} {percentage}%  {value}/{total} ${unit}  {eta_formatted} left`;
  const bar = new SingleBar(
    { format, fps: REDRAW_PER_SECOND, hideCursor: true, clearOnComplete: true, etaBuffer: 100 },
    Presets.shades_classic,
  );
  return {
    update: (done, newTotal = total) => {
      if (!bar.isActive) bar.start(newTotal, done);
      bar.setTotal(newTotal);
      bar.update(done);
    },
    stop: () => bar.stop(),
  };
}
