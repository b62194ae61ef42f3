import { Command, Option } from 'commander';
import { SAGA_STATES } from '#services/payments/contract.ts';
import { withClient } from '../client.ts';
import { withExample, withJson, withLimit, withUrl } from '../options.ts';
import { type Column, printFields, printJson, printTable, shortTime } from '../output.ts';

interface Saga {
  readonly payment_id: string;
  readonly method: string;
  readonly state: string;
  readonly attempt: number;
  readonly deadline_at: string | null;
  readonly stuck_reason: string | null;
  readonly next_attempt_at: string | null;
}

interface CommonOptions {
  readonly json?: boolean;
  readonly url?: string;
}

const COLUMNS: readonly Column<Saga>[] = [
  { title: 'PAYMENT', value: (row) => row.payment_id },
  { title: 'METHOD', value: (row) => row.method },
  { title: 'STATE', value: (row) => row.state },
  { title: 'ATTEMPT', value: (row) => row.attempt, align: 'right' },
  { title: 'DEADLINE (UTC)', value: (row) => shortTime(row.deadline_at) },
  { title: 'NEXT TRY (UTC)', value: (row) => shortTime(row.next_attempt_at) },
  { title: 'STUCK', value: (row) => row.stuck_reason, style: () => 'yellow' },
];

export function createCommand(): Command {
  const list = new Command('list')
    .description('sagas, newest first')
    .addOption(new Option('--state <state>', 'only in this state').choices(SAGA_STATES))
    .option('--stuck', 'only those that are past a deadline or wait for an unknown outcome')
    .action(listSagas);
  const retry = new Command('retry')
    .description('try the present step of a saga again, now')
    .argument('<id>', 'the id of the payment')
    .action(retrySaga);
  withExample(withUrl(withJson(withLimit(list))), 'sagas list --stuck');
  withExample(withUrl(withJson(retry)), 'sagas retry 019ad8f2-5f0b-7c11-9c5e-5a8f0f3b2d10');
  return new Command('sagas').addCommand(list).addCommand(retry);
}

async function listSagas(options: CommonOptions & { limit: number; state?: string; stuck?: boolean }): Promise<void> {
  const { url, json, limit, state, stuck } = options;
  const sagas = await withClient(url, (client) => client.list<Saga>('/sagas', { state, stuck }, limit));
  if (json) printJson(sagas);
  else printTable(sagas, COLUMNS, stuck ? 'no saga is stuck' : 'no sagas');
}

async function retrySaga(id: string, { url, json }: CommonOptions): Promise<void> {
  const saga = await withClient(url, (client) => client.post<object>(`/sagas/${encodeURIComponent(id)}/retry`, {}));
  if (json) printJson(saga);
  else printFields({ ...saga });
}
