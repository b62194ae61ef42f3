import { join } from 'node:path';
import { type Kafka, startKafka } from '#kernel/bus/kafka/server/cluster.ts';
import { readConfig } from '#src/config.ts';

/** Runs `work` with one real broker on free ports, whose data are in the folder; it has ended afterwards, and ends with this process. */
export async function withKafka<T>(
  dataDir: string,
  onPhase: (phase: string) => void,
  work: (kafka: Kafka) => Promise<T>,
): Promise<T> {
  onPhase('starting Kafka');
  const { cacheDir, kafkaHeap } = readConfig(process.env);
  const kafka = await startKafka({
    dataDir: join(dataDir, 'kafka'),
    cacheDir,
    log: { info: onPhase, warn: onPhase },
    lifetime: 'caller',
    port: 0,
    heap: kafkaHeap,
  });
  try {
    return await work(kafka);
  } finally {
    // What it keeps goes with the folder: there is nothing to put in order.
    for (const { id } of kafka.brokers) await kafka.killBroker(id);
  }
}
