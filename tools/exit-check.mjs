// Loaded into each test process: one that does not end after its last test has leaked a connection, server or timer, and fails.
import { after } from 'node:test';

const GRACE_MS = 30_000;

after(() => {
  setTimeout(() => {
    console.error(
      `The tests are over, but these keep the process alive: ${process.getActiveResourcesInfo().join(', ')}`,
    );
    process.exit(1);
  }, GRACE_MS).unref();
});
