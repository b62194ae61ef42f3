import { onKafka } from './plan.ts';
import { shortForm } from './short-form.ts';

const OUTAGE_MS = 15_000;

shortForm('a cluster on Kafka', onKafka(OUTAGE_MS), { requestsPerSecond: 25, strikeMs: 120_000 });
