-- What was found when the topics of two topologies were compared while both were written: see comparison.ts.

ALTER TABLE bus_topologies ADD COLUMN compared jsonb;
COMMENT ON COLUMN bus_topologies.compared IS 'Of the one that the store is on its way to: the last comparison with the topology before, and where the next begins.';
