import { APART } from './plan.ts';
import { shortForm } from './short-form.ts';

shortForm('parts that run apart', APART, { requestsPerSecond: 20 });
