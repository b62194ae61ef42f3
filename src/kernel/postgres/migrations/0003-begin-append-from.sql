-- An append is refused unless the chain ends at the very link that it goes on from: one that was sent behind another must
-- not take effect when that was refused, whatever else made the chain as long. Without the link only the length is compared,
-- for processes of the version before.
DROP FUNCTION begin_append(integer, integer, bigint, bigint, bytea);
CREATE FUNCTION begin_append(p_month integer, p_chain integer, p_expected bigint, p_position bigint, p_hash bytea, p_from bytea DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(8080, 0);
  IF EXISTS (SELECT 1 FROM event_months WHERE month >= p_month AND closed) THEN
    RAISE EXCEPTION 'month % is closed', p_month USING ERRCODE = 'CA002';
  END IF;
  UPDATE event_chains SET position = p_position, hash = p_hash
  WHERE chain = p_chain AND position = p_expected AND (p_from IS NULL OR hash = p_from);
  IF NOT FOUND THEN
    RAISE EXCEPTION 'chain % does not end at %', p_chain, p_expected USING ERRCODE = 'CA003';
  END IF;
END $$;
