import { Command } from 'commander';
import { growthCommand } from '../bench/growth.ts';
import { paymentsCommand } from '../bench/payments.ts';
import { peersCommand } from '../bench/peers.ts';
import { purchasesCommand } from '../bench/purchases.ts';
import { raceCommand } from '../bench/race.ts';
import { readsCommand } from '../bench/reads.ts';
import { recoveryCommand } from '../bench/recovery.ts';
import { relayCommand } from '../bench/relay.ts';
import { replayCommand } from '../bench/replay.ts';
import { walletCommand } from '../bench/wallet.ts';

const COMMANDS = [
  paymentsCommand,
  purchasesCommand,
  raceCommand,
  walletCommand,
  readsCommand,
  relayCommand,
  replayCommand,
  recoveryCommand,
  growthCommand,
  peersCommand,
];

export function createCommand(): Command {
  const bench = new Command('bench');
  for (const command of COMMANDS) bench.addCommand(command());
  return bench;
}
