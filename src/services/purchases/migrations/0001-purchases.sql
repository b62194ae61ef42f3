-- What the purchases service keeps: what can be bought, from the catalog's events, and the purchases themselves.

CREATE SCHEMA IF NOT EXISTS purchases;

CREATE TABLE purchases.offers (
  product_id  uuid        PRIMARY KEY,
  sku         text        NOT NULL,
  name        text        NOT NULL,
  price_minor bigint      NOT NULL CHECK (price_minor > 0),
  currency    text        NOT NULL,
  status      text        NOT NULL,
  updated_at  timestamptz NOT NULL,
  version     bigint      NOT NULL
) WITH (fillfactor = 80);

-- Rows are rewritten a few times: room on each page keeps the new version beside the old one.
CREATE TABLE purchases.purchases (
  purchase_id       uuid        PRIMARY KEY,
  customer_id       text        NOT NULL,
  method            text        NOT NULL,
  amount_minor      bigint      NOT NULL CHECK (amount_minor > 0),
  currency          text        NOT NULL,
  trace_id          text        NOT NULL,
  reference         text,
  lines             jsonb       NOT NULL,
  status            text        NOT NULL,
  reason            text,
  detail            text,
  saga_state        text        NOT NULL,
  attempt           integer     NOT NULL,
  step_deadline_at  timestamptz,
  step_stuck_reason text,
  is_paid           boolean     NOT NULL,
  returns           integer     NOT NULL,
  refund_count      integer     NOT NULL,
  refunds           jsonb       NOT NULL,
  refunded_minor    bigint      NOT NULL CHECK (refunded_minor BETWEEN 0 AND amount_minor),
  created_at        timestamptz NOT NULL,
  completed_at      timestamptz,
  deadline_at       timestamptz,
  stuck_reason      text,
  version           bigint      NOT NULL
) WITH (fillfactor = 70);

COMMENT ON COLUMN purchases.purchases.purchase_id IS 'UUIDv7: the primary key is also the order of time.';
COMMENT ON COLUMN purchases.purchases.deadline_at IS 'When the present step or a refund must have been answered; null: nothing is awaited.';

-- A customer's purchases, newest first.
CREATE INDEX purchases_customer ON purchases.purchases (customer_id, purchase_id DESC);
CREATE INDEX purchases_reference ON purchases.purchases (customer_id, reference) WHERE reference IS NOT NULL;
-- The few that are open: for the sweeper of deadlines, and for lists of what is under way.
CREATE INDEX purchases_deadline ON purchases.purchases (deadline_at) WHERE deadline_at IS NOT NULL;
CREATE INDEX purchases_stuck ON purchases.purchases (purchase_id) WHERE stuck_reason IS NOT NULL;
