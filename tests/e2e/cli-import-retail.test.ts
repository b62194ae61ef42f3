import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { openFolder } from '../support/data-folder.ts';
import { assertLedgerBalanced } from '../support/money.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { runProgram } from '../support/program.ts';
import { addUpSales, realRetailFile } from '../support/retail-file.ts';

const file = realRetailFile();
const absent = file === undefined ? 'the real file of a shop is not here: name it by CAUDAL_RETAIL_FILE' : false;

async function importFile(platform: Platform, path: string) {
  const env = { CAUDAL_URL: platform.api.url };
  const { code, stdout, stderr } = await runProgram(['import', 'retail', path, '--json'], env);
  assert.equal(code, 0, `${stderr}${stdout.slice(-2000)}`);
  return JSON.parse(stdout);
}

/** The purchases by their references, as clients see them. */
async function purchases({ api }: Platform) {
  const found = new Map<string, { status: string; amount_minor: number; refunded_minor: number }>();
  for (let cursor = ''; ; ) {
    const { body } = await api.get(`/api/v1/purchases?limit=200${cursor}`);
    for (const purchase of body.data) found.set(purchase.reference, purchase);
    if (body.next_cursor === null) return found;
    cursor = `&cursor=${body.next_cursor}`;
  }
}

const eventsOf = async ({ query }: Platform): Promise<number> => {
  const [row] = await query<{ events: number }>('SELECT sum(position)::int AS events FROM event_chains');
  return row!.events;
};

describe('importing the real invoices of a shop', { skip: absent }, () => {
  test('each that can be sold is completed, to the penny; cancellations give back; again changes nothing', async () => {
    const platform = await startPlatform();
    const expected = addUpSales(file!);
    const outcome = await importFile(platform, file!);
    assert.deepEqual([outcome.completed, outcome.lines_sold], [expected.totals.size, expected.linesSold]);
    assert.equal(outcome.lines_sold + outcome.lines_returned + outcome.refused.length, expected.lines);
    assert.deepEqual(outcome.inexact, []);
    assert.ok(outcome.cancellations > 0 && outcome.lines_returned > 0);
    for (const { line, reason, detail } of outcome.refused) assert.ok(line > 1 && reason && detail);

    const found = await purchases(platform);
    assert.equal(found.size, expected.totals.size);
    for (const [invoice, total] of expected.totals) {
      const { status, amount_minor, refunded_minor } = found.get(invoice)!;
      assert.equal(amount_minor, total, invoice);
      assert.equal(status, refunded_minor === total ? 'CANCELLED' : 'COMPLETED', invoice);
    }
    const { output, code } = await platform.caudal('verify');
    assert.equal(code, 0, output);

    const before = await eventsOf(platform);
    const again = await importFile(platform, file!);
    assert.deepEqual({ ...again, made_before: 0 }, outcome);
    assert.equal(again.made_before, expected.totals.size);
    assert.equal(await eventsOf(platform), before, 'not one event is new');
    await assertLedgerBalanced(platform.api);
  });
});

const HEADER = 'invoice,stock_code,description,quantity,invoice_date,unit_price,customer_id,country';

/** Every kind of odd line; the comment is what must be said of it. */
const ODD = [
  '1,10001,"CUP, BLUE",2,2010-12-01T08:26:00,2.50,7,UK',
  '1,10001,"CUP, BLUE",1,2010-12-01T08:26:00,2.50,7,UK', // the same again: three cups
  '1,10002,POT,1,2010-12-01T08:26:00,10,7,UK',
  '1,10002,POT,1,2010-12-01T08:26:00,9,7,UK', // two_prices
  '1,POST,POSTAGE,1,2010-12-01T08:26:00,4,7,UK', // no_product
  '1,10003,FREE,1,2010-12-01T08:26:00,0,7,UK', // zero_price
  '1,10003,DEBT,1,2010-12-01T08:26:00,-3,7,UK', // zero_price
  '1,10003,CUP,0,2010-12-01T08:26:00,1,7,UK', // zero_quantity
  '1,10003,CUP,-4,2010-12-01T08:26:00,1,7,UK', // negative_quantity
  '1,10003,CUP,1,2010-12-01T08:26:00,1,,UK', // no_customer
  '1,10003,CUP,1,2010-12-01T08:26:00,1,8,UK', // two_customers
  '1,10003,CUP,many,2010-12-01T08:26:00,1,7,UK', // malformed
  '1,10003,CUP,1,2010-12-01T08:26:00,1.005,7,UK', // malformed
  '2,10001,"CUP, BLUE",4,2010-12-01T08:30:00,2.75,7,UK', // sold at a changed price
  '3,10009,GONE,1,2010-12-01T08:31:00,1,,UK', // no_customer: nothing is left of the invoice
  'C4,10001,"CUP, BLUE",-2,2010-12-01T09:00:00,2.50,7,UK',
  'C4,10001,"CUP, BLUE",-2,2010-12-01T09:00:00,2.50,7,UK', // nothing_to_cancel: one is left
  'C4,10002,POT,1,2010-12-01T09:00:00,10,7,UK', // not_negative
  'C5,10001,"CUP, BLUE",-4,2010-12-01T09:00:00,2.75,7,UK', // all of invoice 2
  'C6,10001,"CUP, BLUE",-1,2010-12-01T09:00:00,2.50,8,UK', // nothing_to_cancel: another customer
];

const LEFT_OUT = [
  [5, 'two_prices'],
  [6, 'no_product'],
  [7, 'zero_price'],
  [8, 'zero_price'],
  [9, 'zero_quantity'],
  [10, 'negative_quantity'],
  [11, 'no_customer'],
  [12, 'two_customers'],
  [13, 'malformed'],
  [14, 'malformed'],
  [16, 'no_customer'],
  [18, 'nothing_to_cancel'],
  [19, 'not_negative'],
  [21, 'nothing_to_cancel'],
];

describe('importing invoices with odd lines', () => {
  test('each is left out by its number and reason, and the rest is sold and given back', async () => {
    const platform = await startPlatform();
    const path = join(await openFolder(), 'invoices.csv');
    await writeFile(path, [HEADER, ...ODD, ''].join('\n'));
    const outcome = await importFile(platform, path);
    assert.deepEqual(
      outcome.refused.map(({ line, reason }: { line: number; reason: string }) => [line, reason]),
      LEFT_OUT,
    );
    const change = { line: 15, invoice: '2', stock_code: '10001', from: '2.50', to: '2.75' };
    assert.deepEqual([outcome.price_changes, outcome.inexact], [[change], []]);
    assert.deepEqual([outcome.sold, outcome.returned], ['28.50', '16.00']);
    const found = await purchases(platform);
    const facts = [...found].map(([invoice, { status, amount_minor, refunded_minor }]) => [
      invoice,
      status,
      amount_minor,
      refunded_minor,
    ]);
    assert.deepEqual(facts.sort(), [
      ['1', 'COMPLETED', 1750, 500],
      ['2', 'CANCELLED', 1100, 1100],
    ]);
    const shown = await runProgram(['import', 'retail', path], { CAUDAL_URL: platform.api.url });
    assert.equal(shown.code, 0, shown.stderr);
    assert.match(shown.stdout, /^ *6 +1 +POST +no_product +"POST" is no product: POSTAGE$/m);
    assert.match(shown.stdout, /^2 left out: a field is missing or cannot be read$/m);
    assert.match(shown.stdout, /every purchase, all stock and every wallet is exactly as the file says$/m);
  });

  test('a file that cannot be understood is refused before anything is imported', async () => {
    const path = join(await openFolder(), 'invoices.csv');
    for (const [content, message] of [
      ['invoice,quantity\n1,2\n', /missing: stock_code, description, unit_price, customer_id/],
      [`${HEADER}\n1,10001,CUP\n`, /cannot be read: .*line 2/i],
      [
        `${HEADER}\n1,10001,CUP,1,x,1,7,UK\n2,10001,CUP,1,x,1,7,UK\n1,10001,CUP,1,x,1,7,UK\n`,
        /line 4: invoice 1 was further up already/,
      ],
    ] as const) {
      await writeFile(path, content);
      const { code, stderr } = await runProgram(['import', 'retail', path], { CAUDAL_URL: 'http://127.0.0.1:9' });
      assert.equal(code, 1);
      assert.match(stderr, message);
    }
  });
});
