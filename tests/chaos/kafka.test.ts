import { onKafka } from './plan.ts';
import { shortForm } from './short-form.ts';

const OUTAGE_MS = 15_000;
const STRIKE_MS = 120_000;

shortForm('a cluster on Kafka', onKafka(OUTAGE_MS), STRIKE_MS);
