import { EMBEDDED } from './plan.ts';
import { shortForm } from './short-form.ts';

shortForm('servers that look after PostgreSQL and the simulator themselves', EMBEDDED, { requestsPerSecond: 20 });
