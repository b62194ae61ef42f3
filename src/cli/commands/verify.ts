import { Command } from 'commander';
import { formatAmount } from '#kernel/core/money.ts';
import { verifyStore } from '#kernel/event-store/postgres/verify.ts';
import { checkReadModel } from '#kernel/projections/check.ts';
import { trialBalance } from '#services/wallets/queries.ts';
import { foundSomethingWrong } from '../failure.ts';
import { compareWithGateway } from '../gateway-record.ts';
import { withExample, withJson } from '../options.ts';
import { paint, printJson } from '../output.ts';
import { createProgress } from '../progress.ts';
import { readModels } from '../read-models.ts';
import { type OpenStore, topologyOf, withStore } from '../store.ts';

/** Also changed by the workers that lease what it holds, so the log alone does not say what must be in it. */
const WORK_LISTS: ReadonlySet<string> = new Set(['gateway.operations']);

/** Something that is not as it must be. */
interface Finding {
  readonly what: 'event' | 'read_model' | 'ledger' | 'gateway';
  readonly message: string;
}

export function createCommand(): Command {
  const verify = new Command('verify').addHelpText(
    'after',
    '\nIt recomputes the hash chain over every event, folds every read model from the log and compares, and adds up the ledger.\nPayments go on meanwhile. What to do with what it finds: docs/runbooks/verify-found-something.md',
  );
  verify.option('--gateway <url>', "compare with the gateway simulator's own record of charges, too");
  return withExample(withJson(verify), 'verify --gateway http://127.0.0.1:8090').action(runVerify);
}

async function runVerify({ json, gateway }: { json?: boolean; gateway?: string }): Promise<void> {
  const findings = await withStore(async (store) => [
    ...(await checkEvents(store)),
    ...(await checkReadModels(store)),
    ...(await checkLedger(store)),
    ...(gateway === undefined ? [] : await checkGateway(store, gateway)),
  ]);
  if (findings.length > 0) foundSomethingWrong();
  if (json) printJson({ ok: findings.length === 0, findings });
  else if (findings.length === 0)
    console.log('OK: no event was altered, read models are what the log says, and the ledger sums to zero');
  else for (const { what, message } of findings) console.log(`${paint('red', what)}: ${message}`);
}

async function checkEvents({ database }: OpenStore): Promise<readonly Finding[]> {
  const progress = createProgress('Checking the log', 0, 'events');
  const findings = await verifyStore(database.pool, { onProgress: progress.update }).finally(progress.stop);
  return findings.map(({ message }) => ({ what: 'event', message }));
}

async function checkGateway({ database }: OpenStore, url: string): Promise<readonly Finding[]> {
  const differences = await compareWithGateway(database.pool, url);
  return differences.map((message) => ({ what: 'gateway', message }));
}

async function checkReadModels({ config, database, log }: OpenStore): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const model of await readModels(config, log)) {
    if (WORK_LISTS.has(model.name)) continue;
    const progress = createProgress(`Checking ${model.name}`, 0, 'events');
    const ports = { pool: database.pool, topology: topologyOf(config) };
    const { different, examples } = await checkReadModel(model, ports, progress.update).finally(progress.stop);
    if (different === 0) continue;
    const rows = `${examples.join(', ')}${different > examples.length ? ', …' : ''}`;
    findings.push({
      what: 'read_model',
      message: `${model.name}: ${different} rows are not what the log says: ${rows}`,
    });
  }
  return findings;
}

async function checkLedger({ database }: OpenStore): Promise<readonly Finding[]> {
  const balances = await trialBalance(database.pool);
  return balances
    .filter(({ differenceMinor }) => differenceMinor !== 0n)
    .map(({ currency, differenceMinor }) => ({
      what: 'ledger',
      message: `the accounts in ${currency} do not sum to zero but to ${formatAmount(differenceMinor, currency)}`,
    }));
}
