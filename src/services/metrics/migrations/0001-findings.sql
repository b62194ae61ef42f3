-- What the monitor found to be broken, until an operator has seen to it: it outlives the process that found it.

CREATE SCHEMA IF NOT EXISTS metrics;

CREATE TABLE metrics.findings (
  id         bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  invariant  text        NOT NULL,
  subject    text        NOT NULL,
  message    text        NOT NULL,
  event_id   text,
  found_at   timestamptz NOT NULL DEFAULT now(),
  settled_at timestamptz,
  UNIQUE (invariant, subject)
);

COMMENT ON COLUMN metrics.findings.subject IS 'The payment, wallet, row or event concerned: the first finding of each stands, whatever follows from it.';
COMMENT ON COLUMN metrics.findings.settled_at IS 'When an operator had seen to it; found again after that, it is open again.';
CREATE INDEX findings_open ON metrics.findings (id) WHERE settled_at IS NULL;
