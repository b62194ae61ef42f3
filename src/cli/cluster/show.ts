import { type Column, formatTable, paint, printJsonLine } from '../output.ts';
import type { ClusterView, InstanceView, State } from './look.ts';

/** What stays the same while the cluster runs. */
export interface About {
  /** `host:port` of its brokers; undefined without Kafka. */
  readonly kafka: string | undefined;
  /** The folder of the logs. */
  readonly logs: string;
}

/** Shows one look after the other. */
export interface Display {
  show(view: ClusterView): void;
  /** Leaves the terminal as it was. */
  end(): void;
}

/** Where nothing changes, a line is written all the same after so long. */
const QUIET_MS = 5_000;
const BYTES_PER_MB = 1_000_000;
const STYLES = {
  starting: 'yellow',
  ok: 'green',
  degraded: 'yellow',
  unhealthy: 'red',
  silent: 'red',
  stopping: 'yellow',
  ended: 'red',
} as const satisfies Record<State, string>;

const COLUMNS: readonly Column<InstanceView>[] = [
  { title: 'INSTANCE', value: (row) => row.name, style: () => 'bold' },
  { title: 'ROLE', value: (row) => row.role },
  { title: 'PID', value: (row) => row.pid, align: 'right' },
  { title: 'PORT', value: portOf, align: 'right' },
  { title: 'STATE', value: (row) => row.state, style: (row) => STYLES[row.state] },
  { title: 'CPU', value: (row) => row.cpuSeconds && `${row.cpuSeconds.toFixed(1)} s`, align: 'right' },
  { title: 'MEMORY', value: (row) => row.memoryBytes && `${megabytes(row.memoryBytes)} MB`, align: 'right' },
  { title: 'PARTITIONS', value: (row) => row.partitions, align: 'right' },
  { title: 'LAG', value: (row) => row.lag, align: 'right' },
  { title: 'RESTARTS', value: (row) => row.restarts || undefined, align: 'right' },
  { title: 'ALSO', value: (row) => row.also.join(', ') },
  { title: 'WHY', value: reasonOf },
];

/** Takes the screen, as a pager does, and gives it back. */
const SCREEN = { take: '\x1b[?1049h\x1b[?25l\x1b[?7l', home: '\x1b[H', give: '\x1b[?7h\x1b[?25h\x1b[?1049l' };
const CLEAR_LINE = '\x1b[K';
const CLEAR_BELOW = '\x1b[J';
const DEFAULT_ROWS = 24;
const RUNS = 'Ctrl-C stops all of it. Kill one (kill -9 PID), and see others take its partitions.';
const STOPS = 'It stops: what is in hand is finished. Ctrl-C again ends it at once.';

/** A table that is drawn anew at each look, on a screen of its own. */
export function liveTable(about: About, terminal: NodeJS.WriteStream = process.stdout): Display {
  let taken = false;
  const end = (): void => {
    if (taken) terminal.write(SCREEN.give);
    taken = false;
  };
  // However this process ends, as long as it can do anything: a terminal without a cursor is of no use.
  process.once('exit', end);
  return {
    show: (view) => {
      const lines = fitted(frameOf(view, about), terminal.rows || DEFAULT_ROWS);
      terminal.write(
        `${taken ? '' : SCREEN.take}${SCREEN.home}${lines.map((line) => line + CLEAR_LINE).join('\n')}${CLEAR_BELOW}`,
      );
      taken = true;
    },
    end,
  };
}

/** A line for each instance in which something has changed, and one of the whole now and then. */
export function plainLines(): Display {
  const shown = new Map<string, string>();
  let quietSince = Number.NEGATIVE_INFINITY;
  return {
    show: ({ instances, ...view }) => {
      for (const instance of instances) {
        const line = lineOf(instance);
        if (shown.get(instance.name) !== line) console.log(`${view.time} ${line}`);
        shown.set(instance.name, line);
      }
      if (performance.now() - quietSince < QUIET_MS) return;
      quietSince = performance.now();
      console.log(`${view.time} ${totalsOf(view)}`);
    },
    end: () => undefined,
  };
}

/** Everything as one JSON document a line, when something has changed, and now and then. */
export function jsonLines(): Display {
  let shown = '';
  let quietSince = Number.NEGATIVE_INFINITY;
  return {
    show: (view) => {
      const change = view.instances.map(lineOf).join('\n');
      if (change === shown && performance.now() - quietSince < QUIET_MS) return;
      shown = change;
      quietSince = performance.now();
      printJsonLine(view);
    },
    end: () => undefined,
  };
}

/** The table and what is around it, as lines. */
export function frameOf(view: ClusterView, { kafka, logs }: About): readonly string[] {
  const api = view.instances.find(({ role }) => role === 'api')?.url;
  return [
    `${paint('bold', 'Caudal cluster')}  ${view.time.slice(0, 19).replace('T', ' ')}`,
    `API ${api ?? 'is not up'}   bus ${kafka === undefined ? 'PostgreSQL' : `Kafka ${kafka}`}   logs ${logs}`,
    // Above the table: what is below it may not fit.
    totalsOf(view),
    ...(view.problem === undefined ? [] : [paint('red', view.problem)]),
    '',
    ...formatTable(view.instances, COLUMNS).split('\n'),
    '',
    paint('dim', view.instances.some(({ state }) => state === 'stopping') ? STOPS : RUNS),
  ];
}

function fitted(lines: readonly string[], rows: number): readonly string[] {
  if (lines.length <= rows) return lines;
  return [...lines.slice(0, rows - 1), paint('dim', `… ${lines.length - rows + 1} lines more than fit here`)];
}

/** What is worth a line when it changes: no figures that always do. */
function lineOf(row: InstanceView): string {
  const reason = row.reason === undefined ? '' : ` (${row.reason})`;
  const pid = row.pid === undefined ? '' : `  pid ${row.pid}`;
  const port = row.url === undefined ? '' : `  port ${portOf(row)}`;
  const partitions = row.partitions === undefined ? '' : `  partitions ${row.partitions}`;
  const also = row.also.length === 0 ? '' : `  also ${row.also.join(', ')}`;
  return `${row.name}  ${row.state}${reason}${pid}${port}${partitions}${also}`;
}

function totalsOf(view: Omit<ClusterView, 'instances'>): string {
  const relay = view.relayLag === undefined ? [] : [`${view.relayLag} events on their way to Kafka`];
  return [
    `${view.paymentsCompleted} payments completed, ${view.paymentsPerSecond.toFixed(1)} a second`,
    ...relay,
    `${view.partitionsWithoutOwner} partitions without an owner`,
  ].join('   ');
}

function reasonOf({ state, reason, againInSeconds }: InstanceView): string | undefined {
  if (state !== 'ended') return reason;
  return againInSeconds === undefined ? reason : `${reason}; starts again in ${againInSeconds} s`;
}

function portOf({ url }: InstanceView): string | undefined {
  return url === undefined ? undefined : new URL(url).port;
}

function megabytes(bytes: number): number {
  return Math.round(bytes / BYTES_PER_MB);
}
