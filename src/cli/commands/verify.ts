import { Command } from 'commander';
import { systemClock } from '#kernel/core/clock.ts';
import { toError, UnavailableError } from '#kernel/core/errors.ts';
import { formatAmount } from '#kernel/core/money.ts';
import { toTimestamp } from '#kernel/core/timestamp.ts';
import { type StoreFinding, verifyStore } from '#kernel/event-store/postgres/verify.ts';
import { checkReadModel } from '#kernel/projections/check.ts';
import { openFindings, settleFindings } from '#services/metrics/queries.ts';
import { trialBalance } from '#services/wallets/queries.ts';
import { openBooks } from '#src/composition/books.ts';
import type { Finding as InvariantFinding } from '#src/invariants/finding.ts';
import { CliError, foundSomethingWrong } from '../failure.ts';
import { compareWithGateway } from '../gateway-record.ts';
import { auditLog } from '../log-audit.ts';
import { wholeNumber, withExample, withJson } from '../options.ts';
import { paint, printJson, printTable } from '../output.ts';
import { createProgress } from '../progress.ts';
import { type KnownReadModel, portsOf, readModels } from '../read-models.ts';
import { definedServices } from '../services.ts';
import { type OpenStore, withStore } from '../store.ts';

/** Also changed by the workers that lease what it holds, so the log alone does not say what must be in it. */
const WORK_LISTS: ReadonlySet<string> = new Set(['gateway.operations']);

/** Something that is not as it must be. */
type Finding =
  | StoreFinding
  | ({ readonly kind: 'invariant' } & InvariantFinding)
  | { readonly kind: 'read-model' | 'ledger' | 'gateway'; readonly message: string };

interface Options {
  readonly json?: boolean;
  readonly gateway?: string;
  readonly findings?: boolean;
  readonly settle?: number | 'all';
}

export function createCommand(): Command {
  const verify = new Command('verify').addHelpText(
    'after',
    `
It recomputes the hash chain over every event, shows every event to the auditor of the invariants (one final status and
one taking of each payment, refunds within it, every balance within its limit, every message handled once and in order),
folds every read model from the log and compares, and adds up the ledger. Payments go on meanwhile. What to do about what
it finds: docs/runbooks/verify-found-something.md; about what the monitor found: docs/runbooks/broken-invariant.md`,
  );
  verify.option('--gateway <url>', "compare with the gateway simulator's own record of charges, too");
  verify.option('--findings', 'only list what the monitor found and nobody has settled');
  verify.option(
    '--settle <id>',
    'settle a finding of the monitor that was seen to, or "all": its alert ends',
    findingId,
  );
  return withExample(withJson(verify), 'verify --gateway http://127.0.0.1:8090').action(run);
}

function run(options: Options): Promise<void> {
  if (options.settle !== undefined) return settle(options.settle, options.json);
  return options.findings ? listFindings(options.json) : runVerify(options);
}

async function listFindings(json: boolean | undefined): Promise<void> {
  const findings = await withStore(({ databases }) => openFindings(databases.of('metrics').pool));
  if (findings.length > 0) foundSomethingWrong();
  if (json) printJson(findings);
  else
    printTable(
      findings,
      [
        { title: 'ID', value: (finding) => finding.id, align: 'right' },
        { title: 'FOUND', value: (finding) => toTimestamp(finding.found_at) },
        { title: 'INVARIANT', value: (finding) => finding.invariant },
        { title: 'MESSAGE', value: (finding) => finding.message },
      ],
      'No findings are open.',
    );
}

function findingId(text: string): number | 'all' {
  return text === 'all' ? text : wholeNumber(1)(text);
}

async function settle(given: number | 'all', json: boolean | undefined): Promise<void> {
  const id = given === 'all' ? undefined : given;
  const settled = await withStore(({ databases }) => settleFindings(databases.of('metrics').pool, id));
  if (settled === 0 && id !== undefined) throw new CliError(`no finding ${id} is open: see caudal verify --findings`);
  if (json) printJson({ settled });
  else console.log(`${settled} settled`);
}

async function runVerify({ json, gateway }: Options): Promise<void> {
  const { events, findings } = await withStore(async (store) => {
    const log = await checkLog(store);
    const findings: readonly Finding[] = [
      ...log.findings,
      ...(await checkInvariants(store)),
      ...(await checkReadModels(store, log.events)),
      ...(await checkLedger(store)),
      ...(gateway === undefined ? [] : await checkGateway(store, gateway)),
    ];
    return { events: log.events, findings };
  });
  if (findings.length > 0) foundSomethingWrong();
  if (json) printJson({ ok: findings.length === 0, events, findings });
  else if (findings.length === 0) console.log(`OK: ${events} events, every invariant, every read model and the ledger`);
  else for (const { kind, message } of findings) console.log(`${paint('red', kind)}: ${message}`);
}

async function checkInvariants({ databases, config, log }: OpenStore): Promise<readonly Finding[]> {
  const books = openBooks(databases, await definedServices(config, log), systemClock);
  const progress = createProgress('Checking the invariants', 0, 'events');
  const findings = await auditLog(books, config, progress.update).finally(progress.stop);
  return findings.map((finding) => ({ kind: 'invariant', ...finding }));
}

async function checkLog({ databases }: OpenStore): Promise<{ events: number; findings: readonly StoreFinding[] }> {
  const progress = createProgress('Checking the log', 0, 'events');
  const findings: StoreFinding[] = [];
  let before = 0;
  for (const { pool } of databases.all) {
    let events = 0;
    const onProgress = (checked: number, total: number): void => {
      events = checked;
      progress.update(before + checked, before + total);
    };
    findings.push(...(await verifyStore(pool, { onProgress }).finally(progress.stop)));
    before += events;
  }
  return { events: before, findings };
}

async function checkGateway({ databases }: OpenStore, url: string): Promise<readonly Finding[]> {
  const differences = await compareWithGateway(databases.of('gateway').pool, url);
  return differences.map((message) => ({ kind: 'gateway', message }));
}

async function checkReadModels(store: OpenStore, events: number): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const model of await readModels(store.config, store.log)) {
    if (WORK_LISTS.has(model.name)) continue;
    const message = await problemOf(model, store, events);
    if (message !== undefined) findings.push({ kind: 'read-model', message });
  }
  return findings;
}

/** What is wrong with a read model; undefined: nothing. */
async function problemOf(model: KnownReadModel, { databases }: OpenStore, events: number): Promise<string | undefined> {
  const progress = createProgress(`Checking ${model.name}`, events, 'events');
  try {
    const ports = portsOf(model, databases);
    const { different, examples } = await checkReadModel(model, ports, (passed) => progress.update(passed));
    if (different === 0) return undefined;
    const rows = `${examples.join(', ')}${different > examples.length ? ', …' : ''}`;
    return `${model.name}: ${different} rows are not what the log says: ${rows}`;
  } catch (cause) {
    if (cause instanceof UnavailableError) throw cause;
    // A log that was tampered with may lead nowhere.
    return `${model.name} cannot be made from the log: ${toError(cause).message}`;
  } finally {
    progress.stop();
  }
}

async function checkLedger({ databases }: OpenStore): Promise<readonly Finding[]> {
  const balances = await trialBalance(databases.of('wallets').pool);
  return balances
    .filter(({ differenceMinor }) => differenceMinor !== 0n)
    .map(({ currency, differenceMinor }) => ({
      kind: 'ledger',
      message: `the accounts in ${currency} do not sum to zero but to ${formatAmount(differenceMinor, currency)}`,
    }));
}
