-- What clients and operators read of payments. Written by projections that follow the log; can be dropped and rebuilt.

CREATE SCHEMA IF NOT EXISTS payments;

CREATE TABLE payments.saga_projections (
  payment_id           uuid        PRIMARY KEY,
  customer_id          text        NOT NULL,
  method               text        NOT NULL,
  amount_minor         bigint      NOT NULL,
  currency             text        NOT NULL,
  status               text        NOT NULL,
  reason               text,
  description          text,
  metadata             jsonb,
  refunded_minor       bigint      NOT NULL,
  refund_pending_minor bigint      NOT NULL,
  saga_state           text        NOT NULL,
  attempt              integer     NOT NULL,
  deadline_at          timestamptz,
  stuck_reason         text,
  next_attempt_at      timestamptz,
  trace_id             text        NOT NULL,
  created_at           timestamptz NOT NULL,
  updated_at           timestamptz NOT NULL,
  completed_at         timestamptz,
  version              bigint      NOT NULL,
  CHECK (refunded_minor >= 0 AND refund_pending_minor >= 0 AND refunded_minor + refund_pending_minor <= amount_minor)
);

COMMENT ON COLUMN payments.saga_projections.payment_id IS 'UUIDv7: the primary key is also the order of time.';
COMMENT ON COLUMN payments.saga_projections.deadline_at IS 'When the present step must have been answered; null: nothing is awaited.';

-- A customer's payments, newest first.
CREATE INDEX saga_projections_customer ON payments.saga_projections (customer_id, payment_id DESC);
-- The few that are open: for the sweeper of deadlines, for stuck sagas and for lists of what is pending.
CREATE INDEX saga_projections_deadline ON payments.saga_projections (deadline_at) WHERE deadline_at IS NOT NULL;

CREATE TABLE payments.refunds (
  refund_id    uuid        PRIMARY KEY,
  payment_id   uuid        NOT NULL,
  method       text        NOT NULL,
  amount_minor bigint      NOT NULL,
  currency     text        NOT NULL,
  reason       text        NOT NULL,
  status       text        NOT NULL,
  error        text,
  attempt      integer     NOT NULL,
  deadline_at  timestamptz,
  trace_id     text        NOT NULL,
  requested_at timestamptz NOT NULL,
  completed_at timestamptz,
  version      bigint      NOT NULL
);

CREATE INDEX refunds_payment ON payments.refunds (payment_id);
CREATE INDEX refunds_deadline ON payments.refunds (deadline_at) WHERE deadline_at IS NOT NULL;
