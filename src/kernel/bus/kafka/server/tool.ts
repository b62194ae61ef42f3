import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Installation } from './install.ts';

const LOG_SETTINGS = join(import.meta.dirname, 'tool-log4j2.properties');

/** Kafka's own command-line tools, and the class of each. */
const TOOLS = {
  'console-consumer': 'org.apache.kafka.tools.consumer.ConsoleConsumer',
  'console-producer': 'org.apache.kafka.tools.ConsoleProducer',
  topics: 'org.apache.kafka.tools.TopicCommand',
  'consumer-groups': 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand',
  configs: 'kafka.admin.ConfigCommand',
} as const;

export type ToolName = keyof typeof TOOLS;
export const TOOL_NAMES = Object.keys(TOOLS) as readonly ToolName[];

/** With these a tool needs no broker, or is told which. */
const WITHOUT_BOOTSTRAP = /^--(bootstrap-server|bootstrap-controller|help|version)(=|$)/;

/** Whether the tool is to be told which brokers to ask. */
export function needsBootstrap(args: readonly string[]): boolean {
  return !args.some((arg) => WITHOUT_BOOTSTRAP.test(arg));
}

/** Runs one of Kafka's tools on this process' input and outputs. @returns its exit code */
export function runTool(name: ToolName, args: readonly string[], { java, classpath }: Installation): Promise<number> {
  // It runs for a moment: quick to start counts more than quick when warm.
  const options = ['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'];
  options.push(`-Dlog4j2.configurationFile=${LOG_SETTINGS}`, '-cp', classpath);
  return new Promise((resolve, reject) => {
    const child = spawn(java, [...options, TOOLS[name], ...args], { stdio: 'inherit' });
    // Ctrl-C reaches the tool by itself, which ends in good order; we tell how it ended.
    const wait = (): void => undefined;
    const forward = (): void => void child.kill();
    process.on('SIGINT', wait).on('SIGTERM', forward);
    child.on('error', reject);
    child.on('close', (code) => {
      process.off('SIGINT', wait).off('SIGTERM', forward);
      resolve(code ?? 1);
    });
  });
}
