-- The event store: events in monthly partitions, the chains that they stand in, snapshots, stored answers.

CREATE SEQUENCE events_sequence_number;

CREATE TABLE events (
  event_id        uuid        NOT NULL,
  aggregate_id    uuid        NOT NULL,
  sequence_number bigint      NOT NULL DEFAULT nextval('events_sequence_number'),
  stream_position bigint      NOT NULL,
  chain_position  bigint      NOT NULL,
  "timestamp"     timestamptz NOT NULL,
  created_at      timestamptz NOT NULL,
  chain           integer     NOT NULL,
  event_version   smallint    NOT NULL,
  aggregate_type  text        NOT NULL,
  event_type      text        NOT NULL,
  event_data      jsonb       NOT NULL,
  event_metadata  jsonb       NOT NULL,
  hash            bytea       NOT NULL
) PARTITION BY RANGE (created_at);

COMMENT ON TABLE events IS 'Append-only log of everything that happened; see ARCHITECTURE.md. Never update or delete: caudal verify would name the row.';
COMMENT ON COLUMN events.sequence_number IS 'Global order. Gaps are rolled-back transactions; a later commit may have a lower number, so readers follow (chain, chain_position).';
COMMENT ON COLUMN events.chain IS 'The log of one writer. Its positions have no gaps, its hashes are linked.';
COMMENT ON COLUMN events.hash IS 'SHA-256 of the hash before it in the chain and of this event; see event-store/hash-chain.ts.';

-- One row per writer's log: its end. A writer's transaction moves it, so that a chain is extended by one at a time.
CREATE TABLE event_chains (
  chain    integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  position bigint  NOT NULL DEFAULT 0,
  hash     bytea   NOT NULL DEFAULT decode(repeat('00', 32), 'hex')
);

-- Gives the caller's session a chain that no live session writes, or a new one. The advisory lock lives as long as the
-- session; it keeps writers apart, but what makes a chain whole is `begin_append`.
CREATE FUNCTION claim_chain() RETURNS SETOF event_chains LANGUAGE plpgsql AS $$
DECLARE
  candidate event_chains;
BEGIN
  FOR candidate IN SELECT * FROM event_chains ORDER BY chain LOOP
    IF pg_try_advisory_lock(8081, candidate.chain) THEN
      RETURN QUERY SELECT * FROM event_chains c WHERE c.chain = candidate.chain;
      RETURN;
    END IF;
  END LOOP;
  INSERT INTO event_chains DEFAULT VALUES RETURNING * INTO candidate;
  PERFORM pg_advisory_lock(8081, candidate.chain);
  RETURN NEXT candidate;
END $$;

-- The months that were made or closed. A closed month takes no more events, which makes the checks of stream positions in
-- `check_streams` safe across partitions: what is older than the current month cannot change under a transaction.
CREATE TABLE event_months (
  month  integer PRIMARY KEY,
  closed boolean NOT NULL DEFAULT false
);
COMMENT ON COLUMN event_months.month IS 'year * 12 + month - 1, UTC';

-- Made apart and then attached: attaching does not block those who read and append.
CREATE FUNCTION create_event_partition(p_month integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  from_date date := make_date(p_month / 12, p_month % 12 + 1, 1);
  to_date   date := from_date + interval '1 month';
  partition text := 'events_' || to_char(from_date, 'YYYY_MM');
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('caudal.create_event_partition', 0));
  IF to_regclass(partition) IS NULL THEN
    EXECUTE format('CREATE TABLE %I (LIKE events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', partition);
    EXECUTE format('CREATE UNIQUE INDEX %I ON %I (aggregate_id, aggregate_type, stream_position)', partition || '_stream', partition);
    EXECUTE format('CREATE UNIQUE INDEX %I ON %I (chain, chain_position)', partition || '_chain', partition);
    EXECUTE format('CREATE INDEX %I ON %I USING brin (created_at, sequence_number) WITH (autosummarize = on)', partition || '_time', partition);
    EXECUTE format('ALTER TABLE events ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', partition,
                   from_date::text || ' 00:00:00+00', to_date::text || ' 00:00:00+00');
  END IF;
  INSERT INTO event_months (month) VALUES (p_month) ON CONFLICT DO NOTHING;
  RETURN partition;
END $$;

-- Before the first append into a month: every earlier month is closed, after the appends under way have ended. The month
-- just before is closed even when nobody ever wrote in it: a writer whose clock is behind must not open it later.
CREATE FUNCTION close_event_months_before(p_month integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM event_months WHERE month = p_month - 1 AND closed)
     AND NOT EXISTS (SELECT 1 FROM event_months WHERE month < p_month AND NOT closed) THEN
    RETURN;
  END IF;
  PERFORM pg_advisory_xact_lock(8080, 0);
  INSERT INTO event_months (month, closed) VALUES (p_month - 1, true) ON CONFLICT (month) DO UPDATE SET closed = true;
  UPDATE event_months SET closed = true WHERE month < p_month AND NOT closed;
END $$;

-- First statement of an append: keeps months from being closed meanwhile, and moves the chain's end, which also keeps out a second writer.
CREATE FUNCTION begin_append(p_month integer, p_chain integer, p_expected bigint, p_position bigint, p_hash bytea)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(8080, 0);
  IF EXISTS (SELECT 1 FROM event_months WHERE month >= p_month AND closed) THEN
    RAISE EXCEPTION 'month % is closed', p_month USING ERRCODE = 'CA002';
  END IF;
  UPDATE event_chains SET position = p_position, hash = p_hash WHERE chain = p_chain AND position = p_expected;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'chain % does not end at %', p_chain, p_expected USING ERRCODE = 'CA003';
  END IF;
END $$;

-- Streams whose last event is not known to stand in the current month: the expected position must be their end. `p_since`:
-- none of the stream's events was stored before, so that older partitions are not searched.
CREATE FUNCTION check_streams(p_ids uuid[], p_types text[], p_expected bigint[], p_since timestamptz[])
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  wrong text;
BEGIN
  SELECT s.type || '/' || s.id || ' is not at position ' || s.expected INTO wrong
  FROM unnest(p_ids, p_types, p_expected, p_since) AS s(id, type, expected, since)
  WHERE EXISTS (SELECT 1 FROM events e WHERE e.aggregate_id = s.id AND e.aggregate_type = s.type
                  AND e.stream_position > s.expected AND e.created_at >= s.since)
     OR (s.expected > 0 AND NOT EXISTS (SELECT 1 FROM events e WHERE e.aggregate_id = s.id AND e.aggregate_type = s.type
                  AND e.stream_position = s.expected AND e.created_at >= s.since))
  LIMIT 1;
  IF wrong IS NOT NULL THEN
    RAISE EXCEPTION '%', wrong USING ERRCODE = 'CA001';
  END IF;
END $$;

CREATE TABLE snapshots (
  aggregate_id   uuid    NOT NULL,
  aggregate_type text    NOT NULL,
  position       bigint  NOT NULL,
  state_version  integer NOT NULL,
  state          jsonb   NOT NULL,
  PRIMARY KEY (aggregate_id, aggregate_type)
);

CREATE TABLE idempotency_keys (
  scope        text        NOT NULL,
  key          text        NOT NULL,
  request_hash text        NOT NULL,
  answer       jsonb       NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz NOT NULL,
  PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_keys_expiry ON idempotency_keys USING brin (expires_at);

-- An expired key may be used anew; one that is in force is a conflict, and the caller reads the stored answer.
CREATE FUNCTION save_answers(p_scopes text[], p_keys text[], p_hashes text[], p_answers jsonb[], p_expiries timestamptz[])
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  saved integer;
BEGIN
  INSERT INTO idempotency_keys AS k (scope, key, request_hash, answer, expires_at)
  SELECT * FROM unnest(p_scopes, p_keys, p_hashes, p_answers, p_expiries)
  ON CONFLICT (scope, key) DO UPDATE
    SET request_hash = excluded.request_hash, answer = excluded.answer, expires_at = excluded.expires_at, created_at = now()
    WHERE k.expires_at < now();
  GET DIAGNOSTICS saved = ROW_COUNT;
  IF saved <> cardinality(p_keys) THEN
    RAISE EXCEPTION 'an idempotency key is taken' USING ERRCODE = 'CA001';
  END IF;
END $$;
