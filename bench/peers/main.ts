import assert from 'node:assert/strict';
import { createIdSource } from '#kernel/core/ids.ts';
import { openDbos } from './dbos.ts';
import { openEmmett } from './emmett.ts';
import { openKernel } from './kernel.ts';
import { createPeerLoad, type PeerLoad } from './load.ts';
import type { OpenPeer, Peer, PeerOptions, Transfer } from './peer.ts';
import type { LibraryName, PeerAnswer, PeerCommand } from './protocol.ts';
import { openSql } from './sql.ts';

// A process of its own for one tool and the load on it, told what to do by the harness.

const TOOLS: Readonly<Record<LibraryName, OpenPeer>> = {
  'caudal-kernel': openKernel,
  sql: openSql,
  emmett: openEmmett,
  dbos: openDbos,
};

const PROBE_MINOR = 5;

let peer: Peer;
let load: PeerLoad;

async function obey(command: PeerCommand): Promise<PeerAnswer> {
  switch (command.type) {
    case 'open':
      peer = await TOOLS[command.name](command.options);
      load = createPeerLoad(peer, command.options.accounts, await probe(command.options));
      return { type: 'opened' };
    case 'measure':
      return { type: 'measured', report: await load.measure(command.cell) };
    case 'close':
      return { type: 'closed', totals: await close() };
  }
}

/**
 * Before anything is measured: the tool keeps the contract, or its figures mean nothing.
 * @returns how many transfers were told to be done
 */
async function probe({ openingMinor }: PeerOptions): Promise<number> {
  const ids = createIdSource();
  const transfer: Transfer = { id: ids.uuid(), from: 0, to: 1, amountMinor: PROBE_MINOR };
  assert.equal(await peer.transfer(transfer), 'done');
  assert.equal(await peer.transfer(transfer), 'done', 'the same transfer again is answered as before');
  const tooMuch: Transfer = { id: ids.uuid(), from: 0, to: 1, amountMinor: openingMinor };
  assert.equal(await peer.transfer(tooMuch), 'refused', 'nobody can spend more than they have');
  const [first, second] = await peer.balances();
  assert.deepEqual([first, second], [openingMinor - PROBE_MINOR, openingMinor + PROBE_MINOR]);
  return 1;
}

async function close() {
  const balances = await peer.balances();
  const inDatabase = await peer.countDone();
  await peer.close();
  return {
    sumMinor: balances.reduce((sum, minor) => sum + minor, 0),
    lowestMinor: balances.reduce((lowest, minor) => Math.min(lowest, minor), Number.POSITIVE_INFINITY),
    inDatabase,
    told: load.told,
  };
}

process.on('message', async (command: PeerCommand) => {
  const answer = await obey(command).catch((cause: Error): PeerAnswer => ({ type: 'failed', message: cause.stack! }));
  process.send?.(answer, () => {
    if (answer.type === 'closed' || answer.type === 'failed') process.disconnect();
  });
});
// The harness has all that it asked for, or is gone.
process.on('disconnect', () => process.exit());
