-- The topics that this store writes to, as it knows them: one that was deleted and made anew has another tag.

CREATE TABLE bus_topics (
  topic    text        PRIMARY KEY,
  tag      bigint      NOT NULL,
  sent     jsonb       NOT NULL DEFAULT '{}',
  noted_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN bus_topics.tag IS 'Which making of the topic this is: a part of its id on Kafka, see bus/kafka/standing.ts.';
COMMENT ON COLUMN bus_topics.sent IS 'Position in the log: up to there nothing is sent to it again when the relay goes back for the sake of another topic.';
