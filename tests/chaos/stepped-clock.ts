import { readFileSync, renameSync } from 'node:fs';

// Loaded into a server before its program (`node --import`): a clock that can be wrong. On SIGUSR2 it reads from the file named
// in CHAOS_CLOCK_FILE by how many milliseconds, and renames the file to `….set`. Timers go on as they are, as they do when a
// machine's clock is set.

const file = process.env.CHAOS_CLOCK_FILE ?? '';
const rightNow = Date.now.bind(Date);
let offsetMs = 0;

Date.now = () => rightNow() + offsetMs;
globalThis.Date = new Proxy(Date, {
  construct: (target, args, called) => Reflect.construct(target, args.length === 0 ? [Date.now()] : args, called),
});
process.on('SIGUSR2', () => {
  offsetMs = Number(readFileSync(file, 'utf8'));
  renameSync(file, `${file}.set`);
});
