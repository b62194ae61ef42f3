-- Balances and the ledger. Written in the transaction of the movements, so they are never behind or ahead of them.

CREATE SCHEMA IF NOT EXISTS wallets;

-- Rows are rewritten often: room on each page keeps the new version beside the old one.
CREATE TABLE wallets.wallet_balances (
  wallet_id             uuid        PRIMARY KEY,
  user_id               text        NOT NULL,
  currency              text        NOT NULL,
  balance_minor         bigint      NOT NULL,
  overdraft_limit_minor bigint      NOT NULL CHECK (overdraft_limit_minor >= 0),
  movements             bigint      NOT NULL,
  last_effective_at     timestamptz,
  backdated             boolean     NOT NULL,
  opened_at             timestamptz NOT NULL,
  updated_at            timestamptz NOT NULL,
  version               bigint      NOT NULL,
  CHECK (balance_minor >= -overdraft_limit_minor)
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.05);

COMMENT ON COLUMN wallets.wallet_balances.wallet_id IS 'A function of user_id (walletIdOf): the primary key finds a user''s wallet too.';

-- "All wallets with a balance above X": X is in major units, hence other minor units in each currency.
CREATE INDEX wallet_balances_balance ON wallets.wallet_balances (currency, balance_minor);

-- Sums may pass what a bigint holds long before a single balance does: hence numeric.
CREATE TABLE wallets.ledger_accounts (
  account       text    NOT NULL,
  currency      text    NOT NULL,
  stripe        integer NOT NULL,
  balance_minor numeric NOT NULL,
  debits_minor  numeric NOT NULL,
  credits_minor numeric NOT NULL,
  postings      bigint  NOT NULL,
  PRIMARY KEY (account, currency, stripe)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

COMMENT ON TABLE wallets.ledger_accounts IS 'Every account but the wallets'' own; one row per writer (stripe), to be added up by readers.';
