CREATE SCHEMA gateway;

-- Every charge and refund that was asked for, and the work list of what is not answered yet.
CREATE TABLE gateway.operations (
  id                 uuid        NOT NULL,
  kind               text        NOT NULL,
  payment_id         uuid        NOT NULL,
  idempotency_key    text        NOT NULL,
  amount_minor       bigint      NOT NULL,
  currency           text        NOT NULL,
  payment_token      text,
  trace_id           text        NOT NULL,
  requested_at       timestamptz NOT NULL,
  gateway            text        NOT NULL,
  state              text        NOT NULL,
  status             text,
  reason             text,
  gateway_payment_id text,
  transaction_id     text,
  attempts           integer     NOT NULL,
  calls              integer     NOT NULL,
  next_attempt_at    timestamptz,
  updated_at         timestamptz NOT NULL,
  PRIMARY KEY (id, kind)
);

COMMENT ON TABLE gateway.operations IS 'Read model of charges and refunds at gateways, and their work list. A card number is never in it.';
COMMENT ON COLUMN gateway.operations.id IS 'The payment''s id for a charge, the refund''s for a refund.';
COMMENT ON COLUMN gateway.operations.next_attempt_at IS 'When it is due; pushed forward by the process that has it in hand. NULL: answered.';

-- What is due, soonest first; answered operations, nearly all of them, are not in it.
CREATE INDEX operations_due ON gateway.operations (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX operations_refunds ON gateway.operations (payment_id) WHERE kind = 'refund';
