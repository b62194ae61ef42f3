import type { TestContext } from 'node:test';

type Cleanup = () => void | Promise<void>;

const stacks = new WeakMap<TestContext, Cleanup[]>();

/** Runs after the test, what was opened last first: `t.after` alone closes the ground before what stands on it. */
export function onEnd(t: TestContext, cleanup: Cleanup): void {
  const stack = stacks.get(t);
  if (stack !== undefined) {
    stack.push(cleanup);
    return;
  }
  const own = [cleanup];
  stacks.set(t, own);
  t.after(async () => {
    for (let next = own.pop(); next !== undefined; next = own.pop()) await next();
  });
}
