import { type ClientOptions, runClient } from './client.ts';
import type { LoadCommand, LoadOptions, LoadReport } from './protocol.ts';
import { prepareRequests } from './requests.ts';
import { createTally } from './tally.ts';

// A process of its own, told what to do by the harness: many clients, each with one payment on its way at a time.

const tally = createTally();
let clients: readonly (() => Promise<void>)[] = [];

function start({ port, connections, sampleEvery, plan }: LoadOptions): void {
  const [plain, waiting] = [prepareRequests(plan, port, false), prepareRequests(plan, port, true)];
  let sent = 0;
  const isSample = (): boolean => ++sent % sampleEvery === 0;
  const options: ClientOptions = { port, plain, waiting, isSample };
  clients = Array.from({ length: connections }, () => runClient(options, tally));
}

async function stop(): Promise<void> {
  const durations = tally.durations();
  await Promise.all(clients.map((end) => end()));
  const report: LoadReport = { ...tally.counts(), ...durations };
  process.send?.(report, () => process.disconnect());
}

process.on('message', (command: LoadCommand) => {
  if (command.type === 'start') start(command.options);
  else if (command.type === 'measure') tally.measure();
  else void stop();
});
// The harness has its report, or is gone.
process.on('disconnect', () => process.exit());
