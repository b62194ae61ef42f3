// The architecture rules, for dependency-cruiser: who may import whom. Paths are regular expressions from the root of the project.
// tests/architecture plants a violation of each.

const TEST = String.raw`\.test\.ts$|(^|/)test-support\.ts$`;
const SERVICE = '^src/services/([^/]+)/';
const NPM = 'node_modules/';

/** Files that have decisions and data only: no I/O, no clock, no framework. */
const PURE = String.raw`(contract|[a-z.-]*(saga|decider|state))\.ts$`;

/** The in-memory twins of the kernel's ports, which tests and simulations run on. */
const TWIN = '^src/kernel/[^/]+/memory/';

/** The programs: everything must be reachable from one of these. */
const ENTRY_POINTS = String.raw`^src/cli/main\.ts$|^simulator/main\.ts$`;

function rule(name, comment, from, to) {
  return { name, comment, severity: 'error', from, to };
}

export const rules = [
  rule('no-rings', 'Modules must not import each other in a ring, types included.', {}, { circular: true }),
  rule(
    'no-dead-files',
    'Every file is used by a program, directly or not.',
    { path: ENTRY_POINTS },
    { path: '^(src|simulator)/', pathNot: `${TEST}|${TWIN}|${ENTRY_POINTS}`, reachable: false },
  ),
  rule(
    'no-tests-in-programs',
    'A program does not import tests or what supports them; only the verb that simulates imports the simulation.',
    { path: '^(src|simulator)/', pathNot: `${TEST}|^src/cli/commands/simulate\\.ts$` },
    { path: `^tests/|${TEST}` },
  ),
  rule(
    'bench-from-its-verbs',
    'Only the verbs that run the benchmarks import them.',
    { path: '^(src|simulator)/', pathNot: '^src/cli/bench/' },
    { path: '^bench/' },
  ),
  rule(
    'core-is-pure',
    'The core imports only itself, TypeBox, and hashing and randomness.',
    { path: '^src/kernel/core/', pathNot: TEST },
    { pathNot: `^src/kernel/core/|${NPM}@sinclair/typebox/|^(node:)?crypto$` },
  ),
  rule(
    'postgres-on-core',
    'The database layer knows the core only.',
    { path: '^src/kernel/postgres/', pathNot: TEST },
    { path: '^src/', pathNot: '^src/kernel/(core|postgres)/' },
  ),
  rule(
    'kernel-below-services',
    'The kernel knows no service, and neither the API, the command line nor the settings.',
    { path: '^src/kernel/' },
    { path: '^src/', pathNot: '^src/kernel/' },
  ),
  rule(
    'services-below-api',
    'A service knows neither the API, the command line nor the settings.',
    { path: '^src/services/', pathNot: TEST },
    { path: '^src/', pathNot: '^src/(kernel|services)/' },
  ),
  rule(
    'api-below-main',
    'The API knows neither the command line nor the composition root.',
    { path: '^src/api/', pathNot: TEST },
    { path: String.raw`^src/(cli/|composition/|main\.ts$)` },
  ),
  rule(
    'main-below-cli',
    'The composition root does not know the command line that starts it.',
    { path: String.raw`^src/(composition/|(main|config)\.ts$)` },
    { path: '^src/cli/' },
  ),
  rule(
    'services-by-contract',
    "Of another service only its contract.ts may be imported, and only by a service's own files.",
    { path: SERVICE },
    { path: '^src/services/', pathNot: String.raw`^src/services/($1/|[^/]+/contract\.ts$)` },
  ),
  rule(
    'decisions-are-pure',
    'Deciders, sagas, states and contracts import only the core, contracts, and each other within the service.',
    { path: SERVICE + PURE },
    { pathNot: `^src/kernel/core/|^src/services/($1/${PURE}|[^/]+/contract\\.ts$)|${NPM}@sinclair/typebox/` },
  ),
  rule(
    'driver-in-postgres',
    'Only the database layer imports the database driver.',
    { path: '^src/', pathNot: `^src/kernel/postgres/|${TEST}` },
    { path: `${NPM}(@types/)?pg/` },
  ),
  rule(
    'kafka-in-bus',
    'Only the Kafka adapter of the bus imports the Kafka client.',
    { path: '^src/', pathNot: `^src/kernel/bus/kafka/|${TEST}` },
    { path: '@platformatic/kafka' },
  ),
  rule(
    'http-in-routes',
    "Only the API and the services' routes.ts import the HTTP framework.",
    { path: '^src/', pathNot: String.raw`^src/api/|^src/services/[^/]+/[a-z.-]*routes\.ts$|${TEST}` },
    { path: `${NPM}(fastify|@fastify/[^/]+)/` },
  ),
  rule(
    'simulator-stands-apart',
    'The simulator of a gateway imports nothing of the platform.',
    { path: '^simulator/' },
    { path: '^(src|tests|bench|console)/' },
  ),
  rule(
    'simulator-from-main',
    'Only the composition root starts the simulator.',
    { path: '^src/', pathNot: String.raw`^src/(composition/|main\.ts$)|${TEST}` },
    { path: '^simulator/' },
  ),
  rule(
    'console-types-only',
    'The console imports only types of the platform.',
    { path: '^console/' },
    { path: '^(src|simulator)/', dependencyTypesNot: ['type-only'] },
  ),
];
