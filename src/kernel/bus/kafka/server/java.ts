import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const OLDEST_JAVA = 17;
const INSTALL_JAVA = 'apt-get install openjdk-17-jre-headless, or another Java, with JAVA_HOME or on the PATH';

/**
 * The Java program to run Kafka with: that of JAVA_HOME, else the one on the PATH.
 * @throws Error in one line for people, when there is none or it is older than 17
 */
export async function findJava(): Promise<string> {
  const program = javaProgram();
  const major = await javaMajor(program);
  if (major >= OLDEST_JAVA) return program;
  throw new Error(`Java ${OLDEST_JAVA} or newer is needed to run Kafka, and ${program} is ${major}: ${INSTALL_JAVA}`);
}

function javaProgram(): string {
  const { JAVA_HOME } = process.env;
  if (JAVA_HOME === undefined || JAVA_HOME === '') {
    const found = onPath('java');
    if (found !== undefined) return found;
    throw new Error(`Java ${OLDEST_JAVA} or newer is needed to run Kafka, and there is none: ${INSTALL_JAVA}`);
  }
  const program = join(JAVA_HOME, 'bin', 'java');
  if (isProgram(program)) return program;
  throw new Error(
    `Java ${OLDEST_JAVA} or newer is needed to run Kafka, and JAVA_HOME is ${JAVA_HOME}, which has no bin/java`,
  );
}

/** `openjdk version "17.0.15"` on standard error; Java 8 called itself "1.8.0", which is too old either way. */
async function javaMajor(program: string): Promise<number> {
  const { stderr } = await promisify(execFile)(program, ['-version']).catch((cause: Error) => {
    throw new Error(`Java cannot be run to start Kafka: ${cause.message.trim().replaceAll('\n', ' ')}`, { cause });
  });
  const [, major] = /version "(\d+)/.exec(stderr) ?? [];
  if (major === undefined) throw new Error(`${program} does not say which Java it is: ${stderr.trim()}`);
  return Number(major);
}

/**
 * The Maven program on the PATH.
 * @throws Error in one line for people, when there is none
 */
export async function findMaven(): Promise<string> {
  const program = onPath('mvn');
  if (program !== undefined) return program;
  throw new Error('Maven is needed to install Kafka, and there is no "mvn" on the PATH: apt-get install maven');
}

function onPath(name: string): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, name)).find(isProgram);
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
