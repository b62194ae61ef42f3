/** One violation of each architecture rule: the files to write into a copy of the project, the first of which is at fault. */
export const plants: Record<string, Record<string, string>> = {
  'no-rings': {
    'src/kernel/core/planted-ring-a.ts': `import type { B } from './planted-ring-b.ts';\nexport interface A { b: B }\n`,
    'src/kernel/core/planted-ring-b.ts': `import type { A } from './planted-ring-a.ts';\nexport interface B { a: A }\n`,
  },
  'no-dead-files': { 'src/kernel/bus/planted-dead.ts': 'console.log(1);\n' },
  'no-tests-in-programs': {
    'src/kernel/bus/planted-uses-test.ts': `import '../../../tests/planted-support.ts';\n`,
    'tests/planted-support.ts': 'console.log(1);\n',
  },
  'bench-from-its-verbs': {
    'src/kernel/bus/planted-bench.ts': `import '../../../bench/planted-scenario.ts';\n`,
    'bench/planted-scenario.ts': 'console.log(1);\n',
  },
  'core-is-pure': { 'src/kernel/core/planted-impure.ts': `import 'node:fs';\n` },
  'postgres-on-core': {
    'src/kernel/postgres/planted-upward.ts': `import '#kernel/bus/planted-target.ts';\n`,
    'src/kernel/bus/planted-target.ts': 'console.log(1);\n',
  },
  'kernel-below-services': {
    'src/kernel/bus/planted-upward.ts': `import '#services/planted-a/contract.ts';\n`,
    'src/services/planted-a/contract.ts': 'console.log(1);\n',
  },
  'services-below-api': {
    'src/services/planted-b/queries.ts': `import '#src/api/planted-target.ts';\n`,
    'src/api/planted-target.ts': 'console.log(1);\n',
  },
  'api-below-main': {
    'src/api/planted-upward.ts': `import '#src/cli/planted-target.ts';\n`,
    'src/cli/planted-target.ts': 'console.log(1);\n',
  },
  'main-below-cli': {
    'src/config.ts': `import './cli/planted-start.ts';\n`,
    'src/cli/planted-start.ts': 'console.log(1);\n',
  },
  'services-by-contract': {
    'src/services/planted-c/projections.ts': `import type { Row } from '#services/planted-d/queries.ts';\nexport type R = Row;\n`,
    'src/services/planted-d/queries.ts': 'export type Row = string;\n',
  },
  'decisions-are-pure': { 'src/services/planted-e/order.decider.ts': `import 'node:fs/promises';\n` },
  'driver-in-postgres': {
    'src/services/planted-f/queries.ts': `import type { Client } from 'pg';\nexport type C = Client;\n`,
  },
  'kafka-in-bus': { 'src/kernel/bus/planted-kafka.ts': `import '@platformatic/kafka';\n` },
  'http-in-routes': { 'src/services/planted-g/index.ts': `import 'fastify';\n` },
  'simulator-stands-apart': { 'simulator/planted-upward.ts': `import '#kernel/core/money.ts';\n` },
  'simulator-from-main': { 'src/services/planted-h/routes.ts': `import '../../../simulator/server.ts';\n` },
  'console-types-only': { 'console/planted-values.ts': `import '../src/kernel/core/money.ts';\n` },
  'max-lines': { 'src/kernel/bus/planted-long.ts': '// a line\n'.repeat(401) },
  'service-file-names': { 'src/services/planted-i/helpers.ts': 'console.log(1);\n' },
  'no-barrels': { 'src/kernel/bus/planted-barrel.ts': `export * from '../core/money.ts';\n` },
  'no-dead-exports': { 'src/kernel/bus/planted-export.ts': 'export function nobodyCallsThis() {}\n' },
};
