// Loaded into each test process, so that none outlives what it is for.
import { after } from 'node:test';

const GRACE_MS = 30_000;
const CALLER_CHECK_MS = 500;

// A process that does not end after its last test has leaked a connection, server or timer, and fails.
after(() => {
  setTimeout(() => {
    console.error(
      `The tests are over, but these keep the process alive: ${process.getActiveResourcesInfo().join(', ')}`,
    );
    process.exit(1);
  }, GRACE_MS).unref();
});

// Nobody waits for the results any more when "npm test", whose process id this is, was killed.
const caller = Number(process.env.CAUDAL_TEST_CALLER);
setInterval(() => {
  if (!exists(caller)) process.exit(1);
}, CALLER_CHECK_MS).unref();

function exists(pid) {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
