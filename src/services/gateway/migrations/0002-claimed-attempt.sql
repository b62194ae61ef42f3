-- Tells an attempt that was begun and never recorded, because its process died, from one that was recorded.
ALTER TABLE gateway.operations ADD COLUMN claimed_attempt integer NOT NULL DEFAULT 0;

COMMENT ON COLUMN gateway.operations.claimed_attempt IS
  'attempts as it was when the operation was claimed last. While they are equal, nothing was recorded since: it is in somebody''s hands, or its process died.';
