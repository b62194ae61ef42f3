import { Command } from 'commander';
import { paymentsCommand } from '../bench/payments.ts';
import { readsCommand } from '../bench/reads.ts';
import { replayCommand } from '../bench/replay.ts';
import { walletCommand } from '../bench/wallet.ts';

const COMMANDS = [paymentsCommand, walletCommand, readsCommand, replayCommand];

export function createCommand(): Command {
  const bench = new Command('bench');
  for (const command of COMMANDS) bench.addCommand(command());
  return bench;
}
