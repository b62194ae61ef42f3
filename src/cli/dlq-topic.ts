import type { Client } from './client.ts';
import { wrongUse } from './failure.ts';

/** Which dead letters of a topic: those of a range of offsets, or all, of one partition or of the topic. */
export interface TopicChoice {
  readonly topic: string;
  readonly partition?: number;
  readonly offset?: number;
  readonly to?: number;
  readonly all?: boolean;
}

/** A dead letter as it was found on its topic, and what became of the wish to replay it. */
export interface TopicResult {
  readonly partition: number;
  readonly offset: number;
  readonly id: string | null;
  readonly outcome: string;
  readonly detail: string | null;
}

interface Range {
  readonly partition: number;
  readonly from?: number;
  readonly to?: number;
}

interface Answer {
  readonly results: readonly TopicResult[];
  readonly remaining: readonly Range[];
}

/**
 * Replays what stands on a topic of dead letters, in as many requests as it takes: each looks at so many.
 * @throws CliError when the choice is none
 */
export async function replayTopic(client: Client, choice: TopicChoice): Promise<Answer> {
  let ranges = rangesOf(choice);
  const results: TopicResult[] = [];
  for (;;) {
    const body = ranges === undefined ? {} : { ranges };
    const answer = await client.post<Answer>(`/dlq/topics/${encodeURIComponent(choice.topic)}/replay`, body);
    results.push(...answer.results);
    ranges = answer.remaining;
    if (ranges.length === 0 || answer.results.length === 0) return { results, remaining: ranges };
  }
}

function rangesOf({ partition, offset, to, all }: TopicChoice): readonly Range[] | undefined {
  const isRange = partition !== undefined && offset !== undefined && !all;
  const isAll = all && offset === undefined && to === undefined;
  if (isRange) return [{ partition, from: offset, to: to ?? offset }];
  if (!isAll) throw wrongUse('say which of the topic: --partition and --offset, with --to for a range, or --all');
  return partition === undefined ? undefined : [{ partition }];
}
