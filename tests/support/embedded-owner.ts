import { join } from 'node:path';
import { startEmbeddedPostgres } from '#kernel/postgres/embedded.ts';

// A process that holds the embedded PostgreSQL of the data folder given as argument, until its standard input ends.
const log = { info: console.error, warn: console.error, error: console.error };
const server = await startEmbeddedPostgres({
  dataDir: join(process.argv[2] ?? '', 'postgres'),
  log,
  sharedBuffers: '64MB',
});
console.log(JSON.stringify({ url: server.url, port: server.port, startedByUs: server.startedByUs }));
process.stdin.resume().on('end', () => server.stop());
