import { hash } from 'node:crypto';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { type Static, Type } from '@sinclair/typebox';
import type { RowSource } from '#kernel/cache/row-cache.ts';
import type { Clock } from '#kernel/core/clock.ts';
import { RequestError } from '#kernel/core/errors.ts';
import { isUuid } from '#kernel/core/ids.ts';
import { parseAmount, parseLimit } from '#kernel/core/money.ts';
import { oneOf, text } from '#kernel/core/schemas.ts';
import type { Store } from '#kernel/event-store/store.ts';
import { answerResult, sendAnswer } from '#kernel/http/answer.ts';
import { answerKeysOf, type KeyedRequest, NEVER } from '#kernel/http/idempotency.ts';
import { cursorOf, endOf, lastMomentOf, limitOf, momentInput, momentOf, pageQuery } from '#kernel/http/input.ts';
import {
  AMOUNT_CODES,
  amountInput,
  amountProblem,
  currencyInput,
  problemsOf,
  refuseProblems,
  withOthers,
} from '#kernel/http/money-input.ts';
import { pageSchema, readOperation, writeOperation } from '#kernel/http/operation.ts';
import { type FieldProblem, InvalidInputError } from '#kernel/http/validation.ts';
import type { Sql } from '#kernel/postgres/sql.ts';
import type { AnswerKey, Executor } from '#kernel/processor/execute.ts';
import { WALLET, walletIdOf } from './contract.ts';
import type { MoveMoney, OpenWallet, WalletState } from './decider.ts';
import { isWalletAccount, walletAccount } from './ledger.ts';
import type { WalletRow } from './projections.ts';
import { balanceAsOf, findWallet, listLedgerAccounts, listWallets, statement, trialBalance } from './queries.ts';
import {
  accountSchema,
  accountView,
  balanceSchema,
  balanceView,
  movementSchema,
  movementView,
  openedView,
  recordedView,
  trialBalanceSchema,
  trialBalanceView,
  walletSchema,
  walletView,
} from './views.ts';

export interface WalletRoutePorts {
  readonly executor: Executor;
  readonly store: Pick<Store, 'readStream'>;
  readonly sql: Sql;
  readonly rows: RowSource<WalletRow>;
  readonly clock: Clock;
  /** How long an Idempotency-Key is kept, milliseconds. */
  readonly idempotencyTtlMs: number;
}

const walletParams = Type.Object({ id: Type.String({ description: "the wallet's id or the user's", maxLength: 255 }) });

const openBody = Type.Object(
  {
    user_id: text('whose wallet'),
    currency: currencyInput(),
    overdraft_limit: Type.Optional(amountInput('how far below zero the balance may go; 0 when absent')),
  },
  { additionalProperties: false, examples: [{ user_id: 'customer-123', currency: 'USD' }] },
);

const movementBody = Type.Object(
  {
    amount: amountInput('what to move'),
    currency: Type.Optional(currencyInput()),
    reason: text('such as `deposit`; a debit for `fee` goes to the account of fees'),
    reference: text('your own name of this movement: the same one again gets the first answer'),
    effective_at: Type.Optional(momentInput('the value date; now when absent')),
  },
  { additionalProperties: false, examples: [{ amount: 250, reason: 'deposit', reference: 'deposit-1' }] },
);

const listQuery = Type.Object(
  {
    user_id: Type.Optional(Type.String()),
    min_balance: Type.Optional(
      Type.String({
        pattern: '^-?\\d{1,16}(\\.\\d{1,4})?$',
        description: "least balance, in major units of each wallet's currency",
      }),
    ),
    ...pageQuery,
  },
  { additionalProperties: false },
);
const statementQuery = Type.Object(
  {
    from: Type.Optional(momentInput('value date at or after')),
    to: Type.Optional(momentInput('value date before; a date alone: until its end')),
    order: Type.Optional(oneOf(['desc', 'asc'], 'the last recorded first, or the first')),
    ...pageQuery,
  },
  { additionalProperties: false },
);
const balanceQuery = Type.Object(
  { as_of: Type.Optional(momentInput('value date up to; a date alone: until its end; now when absent')) },
  { additionalProperties: false },
);
const accountQuery = Type.Object(pageQuery, { additionalProperties: false });

const tag = 'wallets';
const movement = {
  tag,
  params: walletParams,
  body: movementBody,
  answers: { 201: movementSchema },
  refusals: ['wallet_not_found', 'currency_mismatch', 'balance_too_large', 'reference_reused', ...AMOUNT_CODES],
} as const;

const operations = {
  open: writeOperation({
    tag,
    summary: 'Open a wallet for a user',
    body: openBody,
    answers: { 201: walletSchema },
    refusals: ['wallet_already_exists', ...AMOUNT_CODES],
  }),
  show: readOperation({
    tag,
    summary: 'One wallet',
    params: walletParams,
    answers: { 200: walletSchema },
    refusals: ['wallet_not_found'],
  }),
  list: readOperation({
    tag,
    summary: 'Wallets, by id',
    querystring: listQuery,
    answers: { 200: pageSchema(walletSchema) },
    refusals: ['invalid_cursor'],
  }),
  credits: writeOperation({ ...movement, summary: 'Put money into a wallet' }),
  debits: writeOperation({
    ...movement,
    summary: 'Take money out of a wallet',
    refusals: ['insufficient_funds', ...movement.refusals],
  }),
  transactions: readOperation({
    tag,
    summary: 'The statement of a wallet',
    description: 'A page may hold fewer than `limit` and still have a next one.',
    params: walletParams,
    querystring: statementQuery,
    answers: { 200: pageSchema(movementSchema) },
    refusals: ['wallet_not_found', 'invalid_cursor'],
  }),
  balance: readOperation({
    tag,
    summary: 'The balance now, or at a past moment by value date',
    params: walletParams,
    querystring: balanceQuery,
    answers: { 200: balanceSchema },
    refusals: ['wallet_not_found'],
  }),
  accounts: readOperation({
    tag: 'ledger',
    summary: 'The accounts of the ledger and their balances',
    querystring: accountQuery,
    answers: { 200: pageSchema(accountSchema) },
    refusals: ['invalid_cursor'],
  }),
  trialBalance: readOperation({
    tag: 'ledger',
    summary: 'The sum of all accounts per currency, which must be zero',
    answers: { 200: trialBalanceSchema },
  }),
};

type MovementRequest = KeyedRequest & { readonly id: string; readonly validationError?: unknown };

/** `/wallets…`. */
export function walletRoutes({
  executor,
  store,
  sql,
  rows,
  clock,
  idempotencyTtlMs,
}: WalletRoutePorts): FastifyPluginAsyncTypebox {
  const keysOf = (request: KeyedRequest): readonly AnswerKey[] => answerKeysOf(request, clock.now() + idempotencyTtlMs);

  const move = async (
    type: MoveMoney['type'],
    id: string,
    body: Static<typeof movementBody>,
    request: MovementRequest,
  ) => {
    refuseProblems(problemsOf(request.validationError), body);
    const keys = keysOf(request);
    const wallet = await loadWallet(executor, id);
    const command = readMovement(type, body, wallet, request.id);
    return executor.execute({
      commands: [{ aggregate: WALLET, id: wallet.id, command }],
      keys: [...keys, referenceKey(wallet.id, command)],
      traceId: request.id,
      answer: ([result]) =>
        answerResult<WalletState, unknown>(result, request.id, 201, ({ events }) => recordedView(events[0]!)),
    });
  };

  return async (app) => {
    app.post('/wallets', { schema: operations.open, attachValidation: true }, async (request, reply) => {
      const command = readOpening(request.body, problemsOf(request.validationError));
      const executed = await executor.execute({
        commands: [{ aggregate: WALLET, id: command.walletId, command }],
        keys: keysOf(request),
        traceId: request.id,
        answer: ([result]) =>
          answerResult<WalletState, unknown>(result, request.id, 201, ({ state, events }) =>
            openedView(state, events[0]!.time),
          ),
      });
      return sendAnswer(reply, executed);
    });

    app.get('/wallets/:id', { schema: operations.show }, async ({ params }) =>
      walletView(await walletRow(rows, params.id)),
    );

    app.get('/wallets', { schema: operations.list }, async ({ query }) => {
      const page = await listWallets(sql, {
        ...(query.user_id !== undefined && { userId: query.user_id }),
        ...(query.min_balance !== undefined && { minBalance: query.min_balance }),
        ...(query.cursor !== undefined && { cursor: cursorOf(query.cursor, isUuid) }),
        limit: limitOf(query),
      });
      return { data: page.data.map(walletView), next_cursor: page.nextCursor };
    });

    app.post('/wallets/:id/credits', { schema: operations.credits, attachValidation: true }, async (request, reply) =>
      sendAnswer(reply, await move('Credit', request.params.id, request.body, request)),
    );
    app.post('/wallets/:id/debits', { schema: operations.debits, attachValidation: true }, async (request, reply) =>
      sendAnswer(reply, await move('Debit', request.params.id, request.body, request)),
    );

    app.get('/wallets/:id/transactions', { schema: operations.transactions }, async ({ params, query }) => {
      const cursor = cursorOf(query.cursor, isPosition);
      const row = await walletRow(rows, params.id);
      const page = await statement(store, row, {
        ...(query.from !== undefined && { from: momentOf(query.from, 'from') }),
        ...(query.to !== undefined && { to: endOf(query.to, 'to') }),
        ...(cursor !== undefined && { cursor: Number(cursor) }),
        oldestFirst: query.order === 'asc',
        limit: limitOf(query),
      });
      return { data: page.data.map((line) => movementView(row, line)), next_cursor: page.nextCursor };
    });

    app.get('/wallets/:id/balance', { schema: operations.balance }, async ({ params, query }) => {
      const at = query.as_of === undefined ? clock.now() : lastMomentOf(query.as_of, 'as_of');
      const row = await walletRow(rows, params.id);
      const balanceMinor = query.as_of === undefined ? row.balance_minor : await balanceAsOf(store, row, at);
      return balanceView(row, balanceMinor, at);
    });
  };
}

/** `/ledger…`. */
export function ledgerRoutes({ sql, clock }: Pick<WalletRoutePorts, 'sql' | 'clock'>): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.get('/ledger/accounts', { schema: operations.accounts }, async ({ query }, reply) => {
      const cursor = cursorOf(query.cursor, isAccountCursor);
      const page = await listLedgerAccounts(sql, { limit: limitOf(query), ...(cursor !== undefined && { cursor }) });
      return reply.send({ data: page.data.map(accountView), next_cursor: page.nextCursor });
    });

    app.get('/ledger/trial-balance', { schema: operations.trialBalance }, async (_request, reply) =>
      reply.send(trialBalanceView(await trialBalance(sql), clock.now())),
    );
  };
}

/** @throws InvalidInputError with everything that is wrong */
function readOpening(body: Static<typeof openBody>, found: readonly FieldProblem[]): OpenWallet {
  const field = 'overdraft_limit';
  const limit = parseLimit(body?.overdraft_limit ?? 0, body?.currency, field);
  if (!limit.ok) throw new InvalidInputError(withOthers(found, [amountProblem(limit.refusal)]));
  if (found.length > 0) throw new InvalidInputError(found);
  const { user_id: userId, currency } = body;
  return { type: 'OpenWallet', walletId: walletIdOf(userId), userId, currency, overdraftLimitMinor: limit.value };
}

/** @throws InvalidInputError when the amount does not fit the wallet's currency, or the value date is none */
function readMovement(
  type: MoveMoney['type'],
  body: Static<typeof movementBody>,
  wallet: WalletState,
  traceId: string,
): MoveMoney & { readonly reference: string } {
  const currency = body.currency ?? wallet.currency;
  const amount = parseAmount(body.amount, currency);
  if (!amount.ok) throw new InvalidInputError([amountProblem(amount.refusal)]);
  const effectiveAt = body.effective_at === undefined ? undefined : momentOf(body.effective_at, 'effective_at');
  return {
    type,
    amountMinor: amount.value,
    currency,
    reason: body.reason,
    reference: body.reference,
    ...(effectiveAt !== undefined && { effectiveAt }),
    traceId,
  };
}

/** A movement is made once for each reference of its wallet. */
function referenceKey(
  walletId: string,
  { type, amountMinor, currency, reference }: MoveMoney & { readonly reference: string },
): AnswerKey {
  const requestHash = hash('sha256', `${type} ${amountMinor} ${currency}`, 'hex');
  return { scope: `wallet:${walletId}`, key: reference, requestHash, expiresAt: NEVER };
}

/** The wallet with this id, or of the user with this id, as its stream has it now. @throws RequestError `wallet_not_found` */
async function loadWallet(executor: Executor, walletOrUserId: string): Promise<WalletState> {
  const ofUser = walletIdOf(walletOrUserId);
  for (const id of isUuid(walletOrUserId) ? [walletOrUserId, ofUser] : [ofUser]) {
    const { state } = await executor.load<WalletState>(WALLET, id);
    if (state.id !== '') return state;
  }
  throw new RequestError('wallet_not_found', 'there is no such wallet');
}

/** @throws RequestError `wallet_not_found` */
async function walletRow(rows: RowSource<WalletRow>, walletOrUserId: string): Promise<WalletRow> {
  const row = await findWallet(rows, walletOrUserId);
  if (row === undefined) throw new RequestError('wallet_not_found', 'there is no such wallet');
  return row;
}

function isPosition(cursor: string): boolean {
  return /^\d{1,15}$/.test(cursor);
}

/** `<account> <currency>` */
function isAccountCursor(cursor: string): boolean {
  const [, account] = /^(\S+) [A-Z]{3}$/.exec(cursor) ?? [];
  return account !== undefined && (!isWalletAccount(account) || isUuid(account.slice(walletAccount('').length)));
}
