import { randomInt } from 'node:crypto';
import { FREE_RANGE, isFree } from '../../../net/free-port.ts';

/** Each broker takes two ports, its own and the next one, for the controller in it. */
const PORTS_PER_BROKER = 2;
const DEFAULT_PORT = 9092;
const LAST_PORT = 65_535;
const HOST = '127.0.0.1';
/**
 * The first ports of `count` brokers.
 * @param wanted that of the first broker, or 0 for any free ones; undefined: 9092, or the next free ones
 * @param known those of the last time, which are kept when they are free and no others are wanted
 * @throws Error when a port that is wanted is in use
 */
export async function choosePorts(
  count: number,
  wanted: number | undefined,
  known: readonly number[],
): Promise<readonly number[]> {
  if (wanted !== undefined && wanted > 0) return wantedPorts(count, wanted);
  if (known.length === count && (await allFree(known))) return known;
  return nextFreePorts(count, wanted === 0 ? randomInt(...FREE_RANGE) : DEFAULT_PORT);
}

async function wantedPorts(count: number, first: number): Promise<readonly number[]> {
  const ports = Array.from({ length: count }, (_, i) => first + i * PORTS_PER_BROKER);
  const taken = await firstTaken(ports);
  if (taken === undefined) return ports;
  throw new Error(`Port ${taken} is in use, and Kafka needs ${first} to ${lastOf(ports)}`);
}

async function nextFreePorts(count: number, from: number): Promise<readonly number[]> {
  const ports: number[] = [];
  for (let port = from; ports.length < count; port += PORTS_PER_BROKER) {
    if (port >= LAST_PORT) throw new Error(`There are no free ports on 127.0.0.1 from ${from} on for Kafka`);
    if (await allFree([port])) ports.push(port);
  }
  return ports;
}

async function allFree(ports: readonly number[]): Promise<boolean> {
  return (await firstTaken(ports)) === undefined;
}

/** The first port of these, or of those next to them, that is in use. */
async function firstTaken(ports: readonly number[]): Promise<number | undefined> {
  for (const port of ports) {
    for (let taken = port; taken < port + PORTS_PER_BROKER; taken += 1) {
      if (!(await isFree(taken, HOST))) return taken;
    }
  }
  return undefined;
}

function lastOf(ports: readonly number[]): number {
  return ports.at(-1)! + PORTS_PER_BROKER - 1;
}
