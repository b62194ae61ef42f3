-- What leaves this store for Kafka: who it is there, and where each event landed.

-- Names this store among all whose events meet on one Kafka: chains have numbers in their own store only.
CREATE TABLE store_identity (
  id  text    NOT NULL DEFAULT substr(replace(gen_random_uuid()::text, '-', ''), 1, 8),
  one boolean PRIMARY KEY DEFAULT true CHECK (one)
);
INSERT INTO store_identity DEFAULT VALUES;

-- One row for what a produced batch holds of one chain in one partition, so that rows of events are never rewritten.
CREATE TABLE event_landings (
  topic          text        NOT NULL,
  partition      integer     NOT NULL,
  first_offset   bigint      NOT NULL,
  chain          integer     NOT NULL,
  last_offset    bigint      NOT NULL,
  first_position bigint      NOT NULL,
  last_position  bigint      NOT NULL,
  positions      jsonb       NOT NULL,
  landed_at      timestamptz NOT NULL,
  PRIMARY KEY (topic, partition, first_offset, chain)
);
COMMENT ON COLUMN event_landings.positions IS 'Element i: the chain position of the event at offset first_offset + i; null where that event is of another chain.';
CREATE INDEX event_landings_by_event ON event_landings (chain, last_position);
CREATE INDEX event_landings_by_time ON event_landings USING brin (landed_at);
