-- Units that are kept for purchases, and what became of them. A reservation follows the log; the stock itself does not wait for it.

CREATE TABLE inventory.reservations (
  product_id  uuid        NOT NULL,
  purchase_id uuid        NOT NULL,
  quantity    bigint      NOT NULL CHECK (quantity > 0),
  status      text        NOT NULL CHECK (status IN ('OPEN', 'COMMITTED', 'CANCELLED', 'EXPIRED')),
  expires_at  timestamptz,
  updated_at  timestamptz NOT NULL,
  version     bigint      NOT NULL,
  PRIMARY KEY (product_id, purchase_id),
  CHECK ((expires_at IS NOT NULL) = (status = 'OPEN'))
) WITH (fillfactor = 80);

CREATE INDEX reservations_expiry ON inventory.reservations (expires_at) WHERE expires_at IS NOT NULL;
