import { MembershipLostError } from '../../core/errors.ts';
import { type LogPosition, later } from '../../core/log-position.ts';
import type { Pool } from '../../postgres/pool.ts';
import type { Sql } from '../../postgres/sql.ts';
import type { StandingPartition } from '../group.ts';
import { readPartitions } from '../postgres/positions.ts';
import { noteTopics, readTopics } from '../postgres/topics.ts';
import { putOutRelay, readSeats, relayPosition } from '../postgres/topologies.ts';
import type { Remade, TopicRegister } from '../relay.ts';
import type { Topology } from '../topology.ts';
import { firstUnhandled } from './entry.ts';

const FORGET_BATCH = 10_000;

/**
 * The topics of a store, in its table `bus_topics`. When one was made anew, the relay goes back to the first event on it that
 * any consumer has not handled, in the transaction that notes the new tag and forgets where events landed in the old
 * topic: what is on the new one is what the relay sends from then on, so consumers find it in the order of the log.
 */
export function createTopicRegister(pool: Pool): TopicRegister {
  return {
    settle: async (found, topologies, member) => {
      const noted = await readTopics(pool);
      const remade = remadeAmong(found, noted);
      if (remade.length > 0) await forgetHandled(pool, remade, noted, topologies);
      return pool.transaction(async (sql) => {
        await holdRelay(sql, member);
        const remade = await settle(sql, found, topologies);
        const topics = await readTopics(sql);
        const sent = topics.filter((row) => Object.keys(row.sent).length > 0);
        return { remade, sent: new Map(sent.map((row) => [row.topic, row.sent])) };
      });
    },
  };
}

/** What is to be read and changed comes before a consumer moves, or after it; and no relay but this one notes what it sent. */
async function holdRelay(sql: Sql, member: string): Promise<void> {
  await sql.query('SELECT 1 FROM bus_seats ORDER BY consumer FOR SHARE');
  await sql.query('LOCK TABLE bus_topics IN EXCLUSIVE MODE');
  const rows = await sql.query(`SELECT 1 FROM bus_members WHERE consumer = 'relay' AND member = $1 FOR UPDATE`, [
    member,
  ]);
  if (rows.length === 0) throw new MembershipLostError(`${member} has not the relay any more`);
}

type Noted = Awaited<ReturnType<typeof readTopics>>;

function remadeAmong(found: ReadonlyMap<string, number>, noted: Noted): readonly string[] {
  return noted.filter(({ topic, tag }) => found.has(topic) && found.get(topic) !== tag).map(({ topic }) => topic);
}

async function settle(
  sql: Sql,
  found: ReadonlyMap<string, number>,
  topologies: readonly Topology[],
): Promise<Remade | undefined> {
  const noted = await readTopics(sql);
  const sentBefore = new Map(noted.map(({ topic, sent }) => [topic, sent]));
  const topics = remadeAmong(found, noted);
  if (topics.length === 0) {
    const news = [...found].filter(([topic]) => !sentBefore.has(topic));
    await noteTopics(
      sql,
      news.map(([topic, tag]) => ({ topic, tag, sent: {} })),
    );
    return undefined;
  }
  const firsts = await firstsOn(sql, topics, await firstUnhandledOf(sql, noted, topologies));
  const until = await putOutRelay(sql, (stood) => before(stood, firsts));
  const again = new Set(topics);
  // What is compared of two topologies is cut between commits of the relay, so these have to be the same on both.
  const onOthers = (topic: string): LogPosition =>
    topologies.length > 1 ? {} : later(sentBefore.get(topic) ?? {}, until);
  await noteTopics(
    sql,
    [...found].map(([topic, tag]) => ({ topic, tag, sent: again.has(topic) ? {} : onOthers(topic) })),
  );
  await sql.query('DELETE FROM event_landings WHERE topic = ANY($1::text[])', [topics]);
  await sql.query(
    `UPDATE dead_letter_messages m SET topic = NULL, partition = NULL, message_offset = NULL, landed_at = NULL
      FROM error_log l WHERE l.id = m.error_id AND l.status = 'open' AND m.topic = ANY($1::text[])`,
    [topics],
  );
  return { topics, from: before(until, firsts), until };
}

/**
 * Forgets where in the old topics those events landed that every consumer has handled, a bounded number at once: what is left to
 * the transaction is no more than what the slowest consumer is behind. Nothing is forgotten of a topic that another
 * process has settled meanwhile.
 */
async function forgetHandled(
  pool: Pool,
  remade: readonly string[],
  noted: Noted,
  topologies: readonly Topology[],
): Promise<void> {
  const stood = await relayPosition(pool);
  const handled = before(stood, await firstUnhandledOf(pool, noted, topologies));
  const old = noted.filter(({ topic }) => remade.includes(topic));
  let forgotten: readonly unknown[];
  do {
    forgotten = await pool.query(
      `DELETE FROM event_landings WHERE ctid = ANY(ARRAY(SELECT l.ctid FROM event_landings l JOIN bus_topics t USING (topic)
          JOIN jsonb_to_recordset($1::jsonb) AS old(topic text, tag bigint) USING (topic, tag)
        WHERE l.last_position <= ($2::jsonb ->> l.chain::text)::bigint LIMIT $3)) RETURNING 1`,
      [JSON.stringify(old), JSON.stringify(handled), FORGET_BATCH],
    );
  } while (forgotten.length === FORGET_BATCH);
}

/** By chain: the first position of it that any consumer has not handled where it is now. */
async function firstUnhandledOf(sql: Sql, noted: Noted, topologies: readonly Topology[]): Promise<LogPosition> {
  const standings: StandingPartition[] = [];
  for (const { consumer, topology } of await readSeats(sql)) {
    const topics = new Set(topologies.find(({ name }) => name === topology)?.topics.map(({ name }) => name));
    const partitions = await readPartitions(sql, consumer);
    standings.push(...partitions.filter(({ topic }) => topics.has(topic)));
  }
  return firstUnhandled(sql, standings, new Map(noted.map(({ topic, tag }) => [topic, tag])));
}

/** By chain: where the first landing begins on the topics that has an event at the position or behind it. */
async function firstsOn(sql: Sql, topics: readonly string[], positions: LogPosition): Promise<LogPosition> {
  const rows = await sql.query<{ chain: number; first: number }>(
    `SELECT chain, min(first_position) AS first FROM event_landings
      WHERE topic = ANY($1::text[]) AND last_position >= ($2::jsonb ->> chain::text)::bigint GROUP BY chain`,
    [topics, JSON.stringify(positions)],
  );
  return Object.fromEntries(rows.map(({ chain, first }) => [chain, first]));
}

/** The position that has all of these events behind it. */
function before(stood: LogPosition, firsts: LogPosition): LogPosition {
  return Object.fromEntries(
    Object.entries(stood).map(([chain, position]) => [chain, Math.min(position, (firsts[chain] ?? Infinity) - 1)]),
  );
}
