import { type Command, Option } from 'commander';
import { BUSES, MAX_INSTANCES } from '../../../bench/harness/shape.ts';
import { wholeNumber } from '../options.ts';

/** Adds what says how a server is made up and how it is loaded. @param one what each client has on its way */
export function withLoad(command: Command, one: string): Command {
  return command
    .addOption(new Option('--bus <bus>', 'what carries events between services').choices(BUSES).default('postgres'))
    .option(
      '--instances <number>',
      'so many processes of each service and one with the API; all in one process when not given',
      wholeNumber(1, MAX_INSTANCES),
    )
    .option('--seconds <number>', 'how long is measured', wholeNumber(1, 3600), 10)
    .option('--warm-up <seconds>', 'how long the load runs before that', wholeNumber(0, 600), 2)
    .option('--connections <number>', `clients, each with one ${one} on its way`, wholeNumber(1, 10_000), 256)
    .option(
      '--sample-every <number>',
      `every so many-th ${one} is answered when it has ended; 1: no client asks for more before`,
      wholeNumber(1),
      50,
    )
    .option('--wallets <number>', 'how many wallets there are', wholeNumber(1, 1_000_000), 1000)
    .option('--profile <folder>', 'write a CPU profile of each of its processes there');
}
