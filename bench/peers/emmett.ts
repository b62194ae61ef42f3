import type pg from 'pg';
import { openPool, readBalances, retried } from './ledger.ts';
import { loadPackage } from './packages.ts';
import type { OpenPeer, PeerOptions, Transfer, TransferOutcome } from './peer.ts';

type StoredEvent =
  | { readonly type: 'AccountOpened'; readonly data: { readonly account: number; readonly balanceMinor: number } }
  | { readonly type: 'TransferMade'; readonly data: Omit<Transfer, 'id'> };

/** Statements of `@event-driven-io/dumbo`, with `%s` and `%L` for values. */
interface Dumbo {
  sql(text: string, ...values: unknown[]): string;
  rawSql(text: string): string;
}

/** Of `@event-driven-io/emmett-postgresql`, what is used here. */
interface EmmettPostgres {
  postgreSQLRawSQLProjection(projection: {
    name: string;
    canHandle: readonly StoredEvent['type'][];
    evolve(event: StoredEvent): string[];
    init(): string;
  }): unknown;
  getPostgreSQLEventStore(
    url: string,
    options: {
      projections: readonly { type: 'inline'; projection: unknown }[];
      connectionOptions: { pooled: true; pool: pg.Pool };
    },
  ): EventStore;
}

/** Of `@event-driven-io/emmett`, what is used here. */
interface Emmett {
  isExpectedVersionConflictError(error: unknown): boolean;
}

interface EventStore {
  appendToStream(
    stream: string,
    events: readonly StoredEvent[],
    options: { expectedStreamVersion: bigint },
  ): Promise<unknown>;
  readonly schema: { migrate(): Promise<unknown> };
  close(): Promise<void>;
}

const TABLE = `
  CREATE TABLE accounts (
    id            integer PRIMARY KEY,
    balance_minor bigint  NOT NULL CHECK (balance_minor >= 0)
  ) WITH (fillfactor = 50)`;
/** The stream must not exist. */
const NEW_STREAM = { expectedStreamVersion: 0n };
const CHECK_VIOLATION = '23514';

/**
 * Event-sourced with Emmett: a stream for each transfer, whose version makes it happen once, and the balances as an inline
 * projection in SQL, which Emmett writes in the transaction of the append, so that its CHECK keeps every balance from going
 * below zero. The other way, a stream for each account, cannot debit one and credit another in one transaction, has to read
 * each account's whole past, since Emmett keeps no snapshots, and meets version conflicts on a hot account: it is slower.
 */
export const openEmmett: OpenPeer = async (options) => {
  const dumbo = await loadPackage<Dumbo>(options.packages, '@event-driven-io/dumbo');
  const { isExpectedVersionConflictError } = await loadPackage<Emmett>(options.packages, '@event-driven-io/emmett');
  const emmett = await loadPackage<EmmettPostgres>(options.packages, '@event-driven-io/emmett-postgresql');
  const pool = await openPool(options);
  const projection = emmett.postgreSQLRawSQLProjection({
    name: 'accounts',
    canHandle: ['AccountOpened', 'TransferMade'],
    evolve: (event) => statementsOf(event, dumbo),
    init: () => dumbo.rawSql(TABLE),
  });
  const store = emmett.getPostgreSQLEventStore(options.url, {
    projections: [{ type: 'inline', projection }],
    connectionOptions: { pooled: true, pool },
  });
  await store.schema.migrate();
  await openAccounts(store, options);
  return {
    transfer: (transfer) => retried(() => append(store, transfer, isExpectedVersionConflictError)),
    balances: () => readBalances(pool),
    countDone: () => countTransfers(pool),
    close: async () => {
      await store.close();
      await pool.end();
    },
  };
};

/** In the order of the accounts, so that two transfers cannot wait for each other. */
function statementsOf(event: StoredEvent, { sql }: Dumbo): string[] {
  if (event.type === 'AccountOpened') {
    const { account, balanceMinor } = event.data;
    return [sql('INSERT INTO accounts VALUES (%s, %s)', account, balanceMinor)];
  }
  const { from, to, amountMinor } = event.data;
  const change = (account: number, minor: number): string =>
    sql('UPDATE accounts SET balance_minor = balance_minor + (%s) WHERE id = %s', minor, account);
  const changes = [change(from, -amountMinor), change(to, amountMinor)];
  return from < to ? changes : changes.reverse();
}

async function openAccounts(store: EventStore, { accounts, openingMinor: balanceMinor }: PeerOptions): Promise<void> {
  for (let account = 0; account < accounts; account++) {
    const opened: StoredEvent = { type: 'AccountOpened', data: { account, balanceMinor } };
    await store.appendToStream(`account-${account}`, [opened], NEW_STREAM);
  }
}

async function append(
  store: EventStore,
  { id, ...data }: Transfer,
  isConflict: (error: unknown) => boolean,
): Promise<TransferOutcome> {
  try {
    await store.appendToStream(`transfer-${id}`, [{ type: 'TransferMade', data }], NEW_STREAM);
    return 'done';
  } catch (cause) {
    // The stream exists: it was made before.
    if (isConflict(cause)) return 'done';
    if ((cause as pg.DatabaseError).code === CHECK_VIOLATION) return 'refused';
    throw cause;
  }
}

async function countTransfers(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ done: number }>(
    `SELECT count(*)::integer AS done FROM emt_messages WHERE message_type = 'TransferMade'`,
  );
  return rows[0]!.done;
}
