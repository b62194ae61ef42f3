-- Which topologies this store is on, and which topology each consumer of topics is on: see topology.ts and seat.ts.

CREATE TABLE bus_topologies (
  topology text        PRIMARY KEY,
  role     text        NOT NULL CHECK (role IN ('current', 'target', 'retired')),
  since    jsonb       NOT NULL DEFAULT '{}',
  since_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN bus_topologies.since IS 'Position in the log: later events are on its topics. {} for one that was there from the start.';
CREATE UNIQUE INDEX bus_topologies_one_of_a_role ON bus_topologies (role) WHERE role <> 'retired';

CREATE TABLE bus_seats (
  consumer      text        PRIMARY KEY,
  topology      text        NOT NULL,
  left_topology text,
  moved_at      timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN bus_seats.left_topology IS 'Its rows in bus_partitions say what the consumer had handled when it came to the present one.';
