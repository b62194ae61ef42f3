import { Command, Option } from 'commander';
import { DEAD_LETTER_STATUSES } from '#kernel/bus/postgres/error-log.ts';
import { type Client, withClient } from '../client.ts';
import { replayTopic, type TopicChoice, type TopicResult } from '../dlq-topic.ts';
import { foundSomethingWrong, wrongUse } from '../failure.ts';
import { wholeNumber, withExample, withJson, withLimit, withUrl } from '../options.ts';
import { type Column, printFields, printJson, printTable, shortTime } from '../output.ts';

interface DeadLetter {
  readonly id: string;
  readonly service: string;
  readonly original_topic: string;
  readonly key: string;
  readonly attempts: number;
  readonly error: string;
  readonly fingerprint: string;
  readonly status: string;
  readonly last_seen: string;
  readonly kafka: { readonly topic: string; readonly partition: number; readonly offset: number } | null;
}

interface Group extends Pick<DeadLetter, 'service' | 'error' | 'fingerprint' | 'last_seen'> {
  readonly event_type: string;
  readonly messages: number;
  readonly open: number;
}

interface CommonOptions {
  readonly json?: boolean;
  readonly url?: string;
}

interface Kind {
  readonly fingerprint?: string;
  readonly service?: string;
}

const ERROR_WIDTH = 60;

const COLUMNS: readonly Column<DeadLetter>[] = [
  { title: 'ID', value: (row) => row.id },
  { title: 'SERVICE', value: (row) => row.service },
  { title: 'TOPIC', value: (row) => row.original_topic },
  { title: 'KEY', value: (row) => row.key },
  { title: 'STATUS', value: (row) => row.status, style: (row) => (row.status === 'open' ? 'red' : undefined) },
  { title: 'TRIES', value: (row) => row.attempts, align: 'right' },
  { title: 'LAST SEEN (UTC)', value: (row) => shortTime(row.last_seen) },
  { title: 'FINGERPRINT', value: (row) => row.fingerprint },
  { title: 'ON KAFKA', value: onKafka },
  { title: 'ERROR', value: (row) => row.error.slice(0, ERROR_WIDTH) },
];

const TOPIC_COLUMNS: readonly Column<TopicResult>[] = [
  { title: 'PARTITION', value: (row) => row.partition, align: 'right' },
  { title: 'OFFSET', value: (row) => row.offset, align: 'right' },
  { title: 'ID', value: (row) => row.id },
  { title: 'OUTCOME', value: (row) => row.outcome },
  { title: 'WHY NOT', value: (row) => row.detail },
];

const GROUP_COLUMNS: readonly Column<Group>[] = [
  { title: 'FINGERPRINT', value: (row) => row.fingerprint },
  { title: 'SERVICE', value: (row) => row.service },
  { title: 'EVENT', value: (row) => row.event_type },
  { title: 'MESSAGES', value: (row) => row.messages, align: 'right' },
  { title: 'OPEN', value: (row) => row.open, align: 'right' },
  { title: 'LAST SEEN (UTC)', value: (row) => shortTime(row.last_seen) },
  { title: 'ERROR', value: (row) => row.error.slice(0, ERROR_WIDTH) },
];

export function createCommand(): Command {
  const list = new Command('list')
    .description('dead letters, the last first')
    .addOption(new Option('--status <status>', 'only in this status').choices(DEAD_LETTER_STATUSES).default('open'))
    .option('--group', 'failures of one kind together, by their fingerprint')
    .action(listLetters);
  const show = new Command('show').description('one dead letter, whole').argument('<id>', 'its id').action(showLetter);
  const replay = new Command('replay')
    .description('hand open dead letters to their service again: one, those of a kind, or all')
    .argument('[id]', 'the id of one')
    .option('--all', 'all that are open; with --topic all that stand on it')
    .option('--topic <topic>', 'those that stand on this topic of Kafka')
    .option('--partition <number>', 'of the topic: this partition', wholeNumber(0))
    .option('--offset <number>', 'of the partition: the one at this offset', wholeNumber(0))
    .option('--to <number>', 'and those behind it, up to this offset', wholeNumber(0))
    .action(replayLetters);
  const discard = new Command('discard')
    .description('give a dead letter up: it is never handled')
    .argument('<id>', 'its id')
    .action(discardLetter);
  withExample(withUrl(withJson(withLimit(withKind(list)))), 'dlq list', 'dlq list --group');
  withExample(withUrl(withJson(show)), 'dlq show 4f6d1c1e-6d0f-4b3e-9a58-0c2f1f0e7a11');
  const replayExamples = [
    'dlq replay 4f6d1c1e-6d0f-4b3e-9a58-0c2f1f0e7a11',
    'dlq replay --fingerprint 4f6d1c1e6d0f4b3e',
    'dlq replay --topic wallet.dlq --partition 0 --offset 17',
  ];
  withExample(withUrl(withJson(withKind(replay))), ...replayExamples);
  withExample(withUrl(withJson(discard)), 'dlq discard 4f6d1c1e-6d0f-4b3e-9a58-0c2f1f0e7a11');
  return new Command('dlq').addCommand(list).addCommand(show).addCommand(replay).addCommand(discard);
}

function withKind(command: Command): Command {
  return command
    .option('--fingerprint <fingerprint>', 'only failures of this kind')
    .option('--service <service>', 'only of this service');
}

async function listLetters(
  options: CommonOptions & Kind & { limit: number; status: string; group?: boolean },
): Promise<void> {
  const { url, json, limit, status, group, fingerprint, service } = options;
  const query = { status, fingerprint, service, ...(group && { group: 'fingerprint' }) };
  const found = await withClient(url, (client) => client.list('/dlq', query, limit));
  if (json) printJson(found);
  else if (group) printTable(found as Group[], GROUP_COLUMNS, `no dead letter is ${status}`);
  else printTable(found as DeadLetter[], COLUMNS, `no dead letter is ${status}`);
}

async function showLetter(id: string, { url, json }: CommonOptions): Promise<void> {
  const letter = await withClient(url, (client) => client.get<DeadLetter>(`/dlq/${encodeURIComponent(id)}`));
  if (json) printJson(letter);
  else printFields({ ...letter, kafka: onKafka(letter) });
}

/** `topic/partition/offset`; empty when it is not there. */
function onKafka({ kafka }: DeadLetter): string {
  return kafka === null ? '' : `${kafka.topic}/${kafka.partition}/${kafka.offset}`;
}

async function replayLetters(
  id: string | undefined,
  options: CommonOptions & Kind & Partial<TopicChoice>,
): Promise<void> {
  const { url, json, all, topic, partition, offset, to, ...kind } = options;
  const ways = [id !== undefined, Object.keys(kind).length > 0, topic !== undefined || all === true];
  if (ways.filter((chosen) => chosen).length !== 1)
    throw wrongUse('say which: the id of one, --fingerprint or --service, --topic, or --all');
  if (topic !== undefined) return replayFromTopic({ ...options, topic });
  if ([partition, offset, to].some((place) => place !== undefined)) throw wrongUse('say of which --topic');
  const answer = await withClient(url, (client) =>
    id === undefined ? replayKind(client, kind) : client.post<object>(`/dlq/${encodeURIComponent(id)}/replay`, {}),
  );
  if (json) printJson(answer);
  else printFields({ ...answer });
}

async function replayFromTopic({ url, json, ...choice }: CommonOptions & TopicChoice): Promise<void> {
  const { results, remaining } = await withClient(url, (client) => replayTopic(client, choice));
  if (json) printJson({ results, remaining });
  else printTable(results, TOPIC_COLUMNS, `there is no such message on ${choice.topic}`);
  if (!json && remaining.length > 0) console.log(`not reached: ${JSON.stringify(remaining)}`);
  const replayed = results.some(({ outcome }) => outcome === 'replayed' || outcome === 'recreated');
  if (remaining.length > 0 || (choice.offset !== undefined && !replayed)) foundSomethingWrong();
}

/** The server replays so many a second, and answers before all are done when that takes long. */
async function replayKind(
  client: Client,
  kind: Kind,
): Promise<{ readonly replayed: number; readonly remaining: number }> {
  let replayed = 0;
  for (;;) {
    const answer = await client.post<{ replayed: number; remaining: number }>('/dlq/replay', kind);
    replayed += answer.replayed;
    if (answer.remaining === 0 || answer.replayed === 0) return { replayed, remaining: answer.remaining };
  }
}

async function discardLetter(id: string, { url, json }: CommonOptions): Promise<void> {
  const letter = await withClient(url, (client) => client.post<object>(`/dlq/${encodeURIComponent(id)}/discard`, {}));
  if (json) printJson(letter);
  else printFields({ ...letter });
}
