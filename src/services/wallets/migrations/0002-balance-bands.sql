-- An index on the balance itself has a new entry at every movement, in a place of its own, and so has the primary key: the
-- row cannot be replaced on its page (HOT). Bands are few, and few movements leave theirs.

DROP INDEX wallets.wallet_balances_balance;

-- No function of our own: it would be planned anew for each statement, which takes longer than writing a row.
ALTER TABLE wallets.wallet_balances ADD COLUMN balance_band integer NOT NULL GENERATED ALWAYS AS (
  sign(balance_minor)::integer * (10 * length(abs(balance_minor)::text) + left(abs(balance_minor)::text, 1)::integer)) STORED;
COMMENT ON COLUMN wallets.wallet_balances.balance_band IS 'Sign, number of digits and first digit of the balance: never less for a larger one.';

-- "All wallets with a balance above X": X is in major units, hence other minor units in each currency.
CREATE INDEX wallet_balances_band ON wallets.wallet_balances (currency, balance_band);
