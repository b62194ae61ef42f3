-- Stock. Written in the transaction of its changes, so it is never behind or ahead of them.

CREATE SCHEMA IF NOT EXISTS inventory;

-- Rows are rewritten often: room on each page keeps the new version beside the old one.
CREATE TABLE inventory.stock (
  product_id uuid        PRIMARY KEY,
  on_hand    bigint      NOT NULL CHECK (on_hand >= 0),
  reserved   bigint      NOT NULL CHECK (reserved >= 0),
  threshold  bigint      NOT NULL CHECK (threshold >= 0),
  low_since  timestamptz,
  out_since  timestamptz,
  updated_at timestamptz NOT NULL,
  version    bigint      NOT NULL,
  CHECK (reserved <= on_hand)
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);

COMMENT ON COLUMN inventory.stock.product_id IS 'As the catalog has it. Stock may be there before the product is, and after it.';

CREATE INDEX stock_alerts ON inventory.stock (product_id) WHERE low_since IS NOT NULL OR out_since IS NOT NULL;
