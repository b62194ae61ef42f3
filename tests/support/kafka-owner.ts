import { startIn } from './kafka.ts';

// A process that starts Kafka in the data folder given as argument, says where it is, and then does nothing until it is killed.
const kafka = await startIn(process.argv[2] ?? '');
console.log(JSON.stringify(kafka.brokers[0]));
process.stdin.resume();
