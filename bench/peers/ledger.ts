import pg from 'pg';
import type { PeerOptions, Transfer, TransferOutcome } from './peer.ts';

/**
 * Accounts and transfers as plain tables, and one transfer as one function, hence one round trip and one transaction. The rows
 * are locked in the order of their ids, so that two transfers cannot wait for each other. The transfer's own row makes it
 * happen once, and keeps what became of it.
 */
const SCHEMA = `
  CREATE TABLE accounts (
    id            integer PRIMARY KEY,
    balance_minor bigint  NOT NULL CHECK (balance_minor >= 0)
  ) WITH (fillfactor = 50);
  CREATE TABLE transfers (
    id           uuid PRIMARY KEY,
    debited      integer     NOT NULL,
    credited     integer     NOT NULL,
    amount_minor bigint      NOT NULL CHECK (amount_minor > 0),
    outcome      text        NOT NULL,
    made_at      timestamptz NOT NULL DEFAULT now()
  );
  CREATE FUNCTION transfer(transfer_id uuid, debit integer, credit integer, amount bigint) RETURNS text
  LANGUAGE plpgsql AS $$
  DECLARE
    found_outcome text;
  BEGIN
    PERFORM FROM accounts WHERE id IN (debit, credit) ORDER BY id FOR NO KEY UPDATE;
    INSERT INTO transfers (id, debited, credited, amount_minor, outcome)
      SELECT transfer_id, debit, credit, amount, CASE WHEN balance_minor >= amount THEN 'done' ELSE 'refused' END
        FROM accounts WHERE id = debit
      ON CONFLICT (id) DO NOTHING RETURNING outcome INTO found_outcome;
    IF NOT FOUND THEN
      RETURN (SELECT outcome FROM transfers WHERE id = transfer_id);
    END IF;
    IF found_outcome = 'done' THEN
      UPDATE accounts SET balance_minor = balance_minor + CASE WHEN id = debit THEN -amount ELSE amount END
        WHERE id IN (debit, credit);
    END IF;
    RETURN found_outcome;
  END $$`;

const TRANSFER = { name: 'transfer', text: 'SELECT transfer($1, $2, $3, $4) AS outcome' };
/** PostgreSQL's codes for "try again": serialization_failure, deadlock_detected. */
const TRANSIENT: ReadonlySet<unknown> = new Set(['40001', '40P01']);
const MAX_ATTEMPTS = 10;

export async function createLedger(pool: pg.Pool, { accounts, openingMinor }: PeerOptions): Promise<void> {
  await pool.query(SCHEMA);
  await pool.query('INSERT INTO accounts SELECT i, $2 FROM generate_series(0, $1::integer - 1) i', [
    accounts,
    openingMinor,
  ]);
}

export async function makeTransfer(pool: pg.Pool, transfer: Transfer): Promise<TransferOutcome> {
  const values = [transfer.id, transfer.from, transfer.to, transfer.amountMinor];
  const { rows } = await retried(() => pool.query<{ outcome: TransferOutcome }>({ ...TRANSFER, values }));
  return rows[0]!.outcome;
}

/** Does the work again, at most so often, when PostgreSQL says that it met other work. */
export async function retried<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work();
    } catch (cause) {
      if (attempt === MAX_ATTEMPTS || !TRANSIENT.has((cause as pg.DatabaseError).code)) throw cause;
    }
  }
}

/** By number, from a table with the columns of `accounts`. */
export async function readBalances(pool: pg.Pool): Promise<readonly number[]> {
  const { rows } = await pool.query<{ balance_minor: string }>('SELECT balance_minor FROM accounts ORDER BY id');
  return rows.map((row) => Number(row.balance_minor));
}

export async function countTransfers(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ done: number }>(
    `SELECT count(*)::integer AS done FROM transfers WHERE outcome = 'done'`,
  );
  return rows[0]!.done;
}

/** A pool whose connections are all open, so that nothing measured waits for one. */
export async function openPool({ url, pool: max }: PeerOptions): Promise<pg.Pool> {
  const pool = new pg.Pool({ connectionString: url, max, idleTimeoutMillis: 0 });
  const clients = await Promise.all(Array.from({ length: max }, () => pool.connect()));
  for (const client of clients) client.release();
  return pool;
}
