/** What the caller may choose; everything else is the same for each embedded server. */
export interface ServerChoices {
  port: number;
  /** `shared_buffers`, in PostgreSQL's notation. */
  sharedBuffers: string;
  /** Statements that take longer are written to the log, in milliseconds; -1 for none. */
  logStatementsSlowerThanMs: number;
}

/**
 * The server's settings, as `-c name=value` arguments, so that each start applies those of the running version of Caudal and
 * nothing in the data folder overrides them. Meant for an insert-heavy load on a small machine.
 * `fsync`, `synchronous_commit` and `full_page_writes` are named to say that they stay on: no figure is bought with durability.
 */
export function serverArguments(choices: ServerChoices): string[] {
  return Object.entries(settings(choices)).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

function settings(choices: ServerChoices): Record<string, string> {
  return {
    listen_addresses: '127.0.0.1',
    port: String(choices.port),
    // The path of a socket is limited to about 100 characters, which a data folder easily exceeds.
    unix_socket_directories: '',
    max_connections: '300',
    timezone: 'UTC',

    fsync: 'on',
    synchronous_commit: 'on',
    full_page_writes: 'on',
    wal_buffers: '32MB',
    min_wal_size: '1GB',
    max_wal_size: '4GB',
    checkpoint_timeout: '15min',
    checkpoint_completion_target: '0.9',

    shared_buffers: choices.sharedBuffers,
    work_mem: '8MB',
    maintenance_work_mem: '128MB',
    effective_cache_size: '1GB',
    random_page_cost: '1.1',
    // Compiling a plan takes longer than any statement of ours.
    jit: 'off',

    // Most tables only grow: vacuum them seldom, for the visibility map, and the few that are updated in place often.
    autovacuum_max_workers: '2',
    autovacuum_naptime: '20s',
    autovacuum_vacuum_scale_factor: '0.05',
    autovacuum_vacuum_insert_threshold: '100000',
    autovacuum_vacuum_insert_scale_factor: '0.5',
    autovacuum_analyze_scale_factor: '0.1',

    logging_collector: 'off',
    log_destination: 'stderr',
    log_timezone: 'UTC',
    log_line_prefix: '%m [%p] %a ',
    log_min_duration_statement: String(choices.logStatementsSlowerThanMs),
  };
}
