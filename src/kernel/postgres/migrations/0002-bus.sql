-- The bus inside PostgreSQL: who consumes which partitions, how far each has come, and what could not be handled.

-- The processes that run a consumer (a service). `progress` covers all partitions that the member owns; see bus/postgres.
CREATE TABLE bus_members (
  consumer     text        NOT NULL,
  member       text        NOT NULL,
  progress     jsonb       NOT NULL,
  heartbeat_at timestamptz NOT NULL,
  PRIMARY KEY (consumer, member)
) WITH (fillfactor = 50);

-- Every partition of every topic that the consumer reads. `progress` counts while nobody owns it.
CREATE TABLE bus_partitions (
  consumer text    NOT NULL,
  topic    text    NOT NULL,
  partition integer NOT NULL,
  owner    text,
  progress jsonb   NOT NULL DEFAULT '{}',
  PRIMARY KEY (consumer, topic, partition),
  FOREIGN KEY (consumer, owner) REFERENCES bus_members (consumer, member)
);

-- Part of the transaction of what was handled: one who was taken for dead, and lost its partitions, is refused.
CREATE FUNCTION save_progress(p_consumer text, p_member text, p_progress jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE bus_members SET progress = p_progress WHERE consumer = p_consumer AND member = p_member;
  IF NOT FOUND THEN
    RAISE EXCEPTION '% is no longer a member of consumer %', p_member, p_consumer USING ERRCODE = 'CA004';
  END IF;
END $$;

-- Messages that could not be handled. `retrying`: tried again by itself at retry_at; `open`: a dead letter, for an operator.
CREATE TABLE error_log (
  id             uuid        PRIMARY KEY DEFAULT gen_random_uuid(),
  arrival        bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
  consumer       text        NOT NULL,
  event_id       uuid        NOT NULL,
  dlq_topic      text        NOT NULL,
  original_topic text        NOT NULL,
  partition      integer     NOT NULL,
  key            text        NOT NULL,
  event          jsonb       NOT NULL,
  attempts       integer     NOT NULL,
  error          text        NOT NULL,
  fingerprint    text        NOT NULL,
  count          integer     NOT NULL DEFAULT 1,
  first_seen     timestamptz NOT NULL,
  last_seen      timestamptz NOT NULL,
  retry_at       timestamptz,
  status         text        NOT NULL CHECK (status IN ('retrying', 'open', 'replayed', 'discarded')),
  resolved_at    timestamptz,
  resolved_by    text,
  UNIQUE (consumer, event_id)
);
COMMENT ON COLUMN error_log.arrival IS 'The order in which messages came to be here: those of one key are tried in it.';
CREATE INDEX error_log_retrying ON error_log (consumer, arrival) WHERE status = 'retrying';
CREATE INDEX error_log_by_fingerprint ON error_log (fingerprint, last_seen);
