import { type Command, InvalidArgumentError, Option } from 'commander';

/** A parser of whole numbers for commander, which names the option when it refuses. */
export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}

/** A parser of numbers from 0 to 1. */
export function share(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= 0 && value <= 1) return value;
  throw new InvalidArgumentError('It must be a number from 0 to 1.');
}

/** Adds `--json`. */
export function withJson(command: Command): Command {
  return command.option('--json', 'print JSON');
}

/** Adds `--url`, for verbs that ask the running system. */
export function withUrl(command: Command): Command {
  return command.addOption(new Option('--url <url>', 'where Caudal answers').env('CAUDAL_URL'));
}

/** Adds `--limit`. */
export function withLimit(command: Command): Command {
  return command.option('--limit <number>', 'how many at most', wholeNumber(1), 20);
}

/** Adds an example to the help. */
export function withExample(command: Command, ...lines: readonly string[]): Command {
  return command.addHelpText('after', `\nExample:\n${lines.map((line) => `  bin/caudal ${line}`).join('\n')}`);
}
