const WAIT = /(?:^|[,;\s])wait\s*=\s*(\d{1,9})(?:$|[,;\s])/i;

/** Seconds that `Prefer: wait=N` asks for (RFC 7240), up to `most`; 0 when it does not. */
export function waitSeconds(prefer: string | string[] | undefined, most: number): number {
  const found = prefer === undefined ? null : WAIT.exec(String(prefer));
  return found === null ? 0 : Math.min(Number(found[1]), most);
}
