import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { PROGRAM } from './harness.ts';

const LIMIT_MS = 120_000;

interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * What `caudal verify` finds, one line each: in the hash chain, in every read model, in the ledger, and between what the
 * platform believes of the gateway and the gateway's own record.
 * @throws Error when it cannot look
 */
export async function verify(databaseUrl: string, simulatorUrl: string): Promise<readonly string[]> {
  const args = [PROGRAM, 'verify', '--json', '--gateway', simulatorUrl];
  const env = { PATH: process.env.PATH, DATABASE_URL: databaseUrl };
  const options = { env, timeout: LIMIT_MS, killSignal: 'SIGKILL' } as const;
  // It ends with another code than 0 when it has found something, too.
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, options).catch(
    (failure: Error & Outcome) => failure,
  );
  if (stdout === '') throw new Error(`caudal verify said nothing, for which it has ${LIMIT_MS} ms: ${stderr}`);
  const { findings } = JSON.parse(stdout) as { readonly findings: readonly Record<'kind' | 'message', string>[] };
  return findings.map(({ kind, message }) => `caudal verify: ${kind}: ${message}`);
}
