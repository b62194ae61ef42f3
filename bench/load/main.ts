import { type ClientOptions, runClient } from './client.ts';
import type { Outcome } from './connection.ts';
import type { LoadCommand, LoadOptions, LoadReport } from './protocol.ts';
import { type PreparedRequest, prepareRequests } from './requests.ts';
import { createTally } from './tally.ts';

// A process of its own, told what to do by the harness: many clients, each with one payment on its way at a time.

const CREATED = 201;
const PENDING = '"status":"PENDING"';

const tally = createTally();
let clients: readonly (() => Promise<void>)[] = [];

function start({ port, connections, sampleEvery, plan }: LoadOptions): void {
  const [plain, waiting] = [prepareRequests(plan, port, false), prepareRequests(plan, port, true)];
  let sent = 0;
  const next = () => (++sent % sampleEvery === 0 ? waiting : plain).next();
  const options: ClientOptions<PreparedRequest> = { port, next, settle };
  clients = Array.from({ length: connections }, () => runClient(options));
}

function settle({ amountMinor, waiting }: PreparedRequest, { status, error, body }: Outcome, ms: number): void {
  if (status !== CREATED) tally.failed(error ?? String(status));
  else tally.acknowledged(amountMinor, ms, waiting);
  if (status === CREATED && waiting && body!.includes(PENDING)) tally.failed('no final status in time');
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
