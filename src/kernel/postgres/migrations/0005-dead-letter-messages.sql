-- What goes to the dead letters goes to a topic on Kafka too: what has still to leave for it, and where the rest is.

CREATE SEQUENCE dead_letter_messages_due;

-- One row for each dead letter, as it was when it last came to the operators. Without a landing it waits for Kafka.
CREATE TABLE dead_letter_messages (
  error_id       uuid        PRIMARY KEY REFERENCES error_log ON DELETE CASCADE,
  count          integer     NOT NULL,
  due            bigint      NOT NULL DEFAULT nextval('dead_letter_messages_due'),
  attempts       integer     NOT NULL,
  error          text        NOT NULL,
  fingerprint    text        NOT NULL,
  died_at        timestamptz NOT NULL,
  topic          text,
  partition      integer,
  message_offset bigint,
  landed_at      timestamptz
);
COMMENT ON COLUMN dead_letter_messages.count IS 'Which time it came: error_log.count of then.';
COMMENT ON COLUMN dead_letter_messages.due IS 'The order in which they leave.';
CREATE INDEX dead_letter_messages_waiting ON dead_letter_messages (due) WHERE landed_at IS NULL;

INSERT INTO dead_letter_messages (error_id, count, attempts, error, fingerprint, died_at)
  SELECT id, count, attempts, error, fingerprint, last_seen FROM error_log WHERE status = 'open' ORDER BY last_seen, arrival;
