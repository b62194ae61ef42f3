import { ConflictError, DataError, RequestError, toError, UnavailableError } from '#kernel/core/errors.ts';
import { ConfigError } from '#src/config.ts';

const FOUND_SOMETHING_WRONG = 1;
const WRONG_USE = 2;

/** What a person did or can mend: told in one line, without a stack. */
export class CliError extends Error {
  override readonly name = 'CliError';
  readonly exitCode: number;

  constructor(message: string, exitCode: number = FOUND_SOMETHING_WRONG, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

/** An argument that cannot be right, whatever the state of the system. */
export function wrongUse(message: string): CliError {
  return new CliError(message, WRONG_USE);
}

/** Marks the verb's end as "it found something wrong". */
export function foundSomethingWrong(): void {
  process.exitCode = FOUND_SOMETHING_WRONG;
}

/** Writes to standard error why the verb failed, a defect with its stack. @returns the exit code */
export function describeFailure(cause: unknown): number {
  const error = toError(cause);
  const withStack = isDefect(error) || process.env.LOG_LEVEL === 'debug';
  console.error(`caudal: ${withStack ? error.stack : error.message}`);
  if (error instanceof CliError) return error.exitCode;
  return error instanceof ConfigError ? WRONG_USE : FOUND_SOMETHING_WRONG;
}

/** Errors of these kinds speak to people; the types that the language itself throws come from a mistake in the program. */
function isDefect(error: Error): boolean {
  const expected = [CliError, ConfigError, ConflictError, UnavailableError, DataError, RequestError];
  return !expected.some((kind) => error instanceof kind) && error.constructor !== Error;
}
