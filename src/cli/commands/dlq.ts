import { Command, Option } from 'commander';
import { withClient } from '../client.ts';
import { wrongUse } from '../failure.ts';
import { withExample, withJson, withLimit, withUrl } from '../options.ts';
import { type Column, printFields, printJson, printTable, shortTime } from '../output.ts';

interface DeadLetter {
  readonly id: string;
  readonly original_topic: string;
  readonly key: string;
  readonly attempts: number;
  readonly error: string;
  readonly fingerprint: string;
  readonly status: string;
  readonly count: number;
  readonly last_seen: string;
}

interface CommonOptions {
  readonly json?: boolean;
  readonly url?: string;
}

const STATUSES = ['open', 'replayed', 'discarded'];
const ERROR_WIDTH = 60;

const COLUMNS: readonly Column<DeadLetter>[] = [
  { title: 'ID', value: (row) => row.id },
  { title: 'TOPIC', value: (row) => row.original_topic },
  { title: 'KEY', value: (row) => row.key },
  { title: 'STATUS', value: (row) => row.status, style: (row) => (row.status === 'open' ? 'red' : undefined) },
  { title: 'TRIES', value: (row) => row.attempts, align: 'right' },
  { title: 'LAST SEEN (UTC)', value: (row) => shortTime(row.last_seen) },
  { title: 'FINGERPRINT', value: (row) => row.fingerprint },
  { title: 'ERROR', value: (row) => row.error.slice(0, ERROR_WIDTH) },
];

export function createCommand(): Command {
  const list = new Command('list')
    .description('dead letters')
    .addOption(new Option('--status <status>', 'only in this status').choices(STATUSES).default('open'))
    .option('--fingerprint <fingerprint>', 'only those that failed for the same reason')
    .action(listLetters);
  const show = new Command('show').description('one dead letter, whole').argument('<id>', 'its id').action(showLetter);
  const replay = new Command('replay')
    .description('hand dead letters to their consumer again: one, those of a fingerprint, or all')
    .argument('[id]', 'the id of one')
    .option('--fingerprint <fingerprint>', 'all that failed for the same reason')
    .option('--all', 'all that are open')
    .action(replayLetters);
  const discard = new Command('discard')
    .description('give a dead letter up: it is not handled')
    .argument('<id>', 'its id')
    .action(discardLetter);
  withExample(withUrl(withJson(withLimit(list))), 'dlq list');
  withExample(withUrl(withJson(show)), 'dlq show 4f6d1c1e-6d0f-4b3e-9a58-0c2f1f0e7a11');
  withExample(withUrl(withJson(replay)), 'dlq replay 4f6d1c1e-6d0f-4b3e-9a58-0c2f1f0e7a11', 'dlq replay --all');
  withExample(withUrl(withJson(discard)), 'dlq discard 4f6d1c1e-6d0f-4b3e-9a58-0c2f1f0e7a11');
  return new Command('dlq').addCommand(list).addCommand(show).addCommand(replay).addCommand(discard);
}

async function listLetters(
  options: CommonOptions & { limit: number; status: string; fingerprint?: string },
): Promise<void> {
  const { url, json, limit, status, fingerprint } = options;
  const letters = await withClient(url, (client) => client.list<DeadLetter>('/dlq', { status, fingerprint }, limit));
  if (json) printJson(letters);
  else printTable(letters, COLUMNS, `no dead letter is ${status}`);
}

async function showLetter(id: string, { url, json }: CommonOptions): Promise<void> {
  const letter = await withClient(url, (client) => client.get<object>(`/dlq/${encodeURIComponent(id)}`));
  if (json) printJson(letter);
  else printFields({ ...letter });
}

async function replayLetters(
  id: string | undefined,
  { url, json, fingerprint, all }: CommonOptions & { fingerprint?: string; all?: boolean },
): Promise<void> {
  if ([id, fingerprint, all].filter((choice) => choice !== undefined).length !== 1) {
    throw wrongUse('say which: the id of one, --fingerprint, or --all');
  }
  const answer = await withClient(url, (client) =>
    id === undefined
      ? client.post<object>('/dlq/replay', fingerprint === undefined ? {} : { fingerprint })
      : client.post<object>(`/dlq/${encodeURIComponent(id)}/replay`, {}),
  );
  if (json) printJson(answer);
  else printFields({ ...answer });
}

async function discardLetter(id: string, { url, json }: CommonOptions): Promise<void> {
  const letter = await withClient(url, (client) => client.post<object>(`/dlq/${encodeURIComponent(id)}/discard`, {}));
  if (json) printJson(letter);
  else printFields({ ...letter });
}
