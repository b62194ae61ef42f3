import { Type } from '@sinclair/typebox';
import type { FastifyInstance } from 'fastify';
import type { Clock } from '#kernel/core/clock.ts';
import { toTimestamp } from '#kernel/core/timestamp.ts';
import { readOperation } from '#kernel/http/operation.ts';
import type { Health, HealthReport } from '#kernel/observability/health.ts';

const partSchema = Type.Object({ status: Type.String(), detail: Type.Optional(Type.String()) });
const reportSchema = Type.Object({
  status: Type.String({ description: 'healthy, degraded or unhealthy' }),
  timestamp: Type.String(),
  checks: Type.Record(Type.String(), partSchema),
});
const liveSchema = Type.Object({ status: Type.String(), timestamp: Type.String() });

/** `/health`: every part; `/health/ready`: whether to send requests here; `/health/live`: whether the process answers at all. */
export function healthRoutes(app: FastifyInstance, health: Health, clock: Clock): void {
  const answers = { 200: reportSchema, 503: reportSchema };
  const all = readOperation({ tag: 'health', summary: 'How every part is', answers });
  const ready = readOperation({ tag: 'health', summary: 'Whether requests can be served', answers });
  const live = readOperation({ tag: 'health', summary: 'Whether the process answers', answers: { 200: liveSchema } });

  const report = async (): Promise<{ status: number; body: HealthReport }> => {
    const body = await health.report();
    return { status: body.status === 'unhealthy' ? 503 : 200, body };
  };

  for (const [path, schema] of [
    ['/health', all],
    ['/health/ready', ready],
  ] as const) {
    app.get(path, { schema }, async (_request, reply) => {
      const { status, body } = await report();
      return reply.code(status).send(body);
    });
  }
  app.get('/health/live', { schema: live }, async () => ({ status: 'healthy', timestamp: toTimestamp(clock.now()) }));
}
