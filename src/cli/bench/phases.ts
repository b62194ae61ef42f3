/** Runs a benchmark that tells a person who waits what is being done. */
export async function withPhases<T>(work: (onPhase: (phase: string) => void) => Promise<T>): Promise<T> {
  if (!process.stderr.isTTY) return work(() => undefined);
  try {
    return await work((phase) => void process.stderr.write(`\r\u001b[K${phase}…`));
  } finally {
    process.stderr.write('\r\u001b[K');
  }
}
