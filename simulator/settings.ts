/**
 * Every number and address the simulator can be told, in one place: the name a caller of `createSimulator` uses,
 * the environment variable that `main.ts` reads, the default, and what it means.
 */

interface NumberSetting {
  readonly env: string;
  readonly value: number;
  readonly meaning: string;
}

/** Whole numbers, zero or more. A name ending in `Ms` is in milliseconds. */
export const NUMBER_SETTINGS = {
  port: {
    env: 'SIMULATOR_PORT',
    value: 8090,
    meaning: 'port; the next free one is taken when it is in use, 0 lets the system choose',
  },
  portTries: { env: 'SIMULATOR_PORT_TRIES', value: 20, meaning: 'ports tried, counting up from the first' },
  slowMs: { env: 'SIMULATOR_SLOW_MS', value: 3_000, meaning: 'how long tok_slow takes to answer' },
  asyncMs: { env: 'SIMULATOR_ASYNC_MS', value: 1_000, meaning: 'from a pending answer to the webhook that decides it' },
  lateMs: {
    env: 'SIMULATOR_LATE_MS',
    value: 1_500,
    meaning: 'how far behind the decision tok_webhook_late sends charge.pending',
  },
  holdMs: {
    env: 'SIMULATOR_HOLD_MS',
    value: 120_000,
    meaning: 'how long an unanswered call is held open before it is cut',
  },
  maxHeldCalls: {
    env: 'SIMULATOR_MAX_HELD_CALLS',
    value: 1_000,
    meaning: 'unanswered calls held open; the oldest is cut to make room',
  },
  maxCharges: {
    env: 'SIMULATOR_MAX_CHARGES',
    value: 1_000_000,
    meaning: 'charges kept; further ones are refused with 507',
  },
  maxRefunds: {
    env: 'SIMULATOR_MAX_REFUNDS',
    value: 1_000_000,
    meaning: 'refunds kept; further ones are refused with 507',
  },
  maxErrorKeys: {
    env: 'SIMULATOR_MAX_ERROR_KEYS',
    value: 10_000,
    meaning: 'keys whose count of 500s is remembered; the oldest is forgotten',
  },
  maxBodyBytes: { env: 'SIMULATOR_MAX_BODY_BYTES', value: 65_536, meaning: 'largest request body' },
  webhookConcurrency: { env: 'SIMULATOR_WEBHOOK_CONCURRENCY', value: 16, meaning: 'webhooks on their way at once' },
  webhookMaxQueued: {
    env: 'SIMULATOR_WEBHOOK_MAX_QUEUED',
    value: 100_000,
    meaning: 'webhooks waiting; further ones are dropped and counted',
  },
  webhookMaxAttempts: {
    env: 'SIMULATOR_WEBHOOK_MAX_ATTEMPTS',
    value: 6,
    meaning: 'tries of one webhook before it is given up',
  },
  webhookRetryBaseMs: {
    env: 'SIMULATOR_WEBHOOK_RETRY_BASE_MS',
    value: 500,
    meaning: 'wait before the first retry; it doubles each time',
  },
  webhookRetryMaxMs: {
    env: 'SIMULATOR_WEBHOOK_RETRY_MAX_MS',
    value: 30_000,
    meaning: 'longest wait between two tries',
  },
  webhookTimeoutMs: {
    env: 'SIMULATOR_WEBHOOK_TIMEOUT_MS',
    value: 5_000,
    meaning: 'how long the receiver may take to answer',
  },
} as const satisfies Record<string, NumberSetting>;

type NumberName = keyof typeof NUMBER_SETTINGS;
type Numbers = { readonly [name in NumberName]: number };

export interface Settings extends Numbers {
  /** Address to listen on. */
  readonly host: string;
  /** Where webhooks are sent. */
  readonly webhookUrl: string;
  /** Shared secret that signs webhooks; without one (undefined or empty) no webhook is sent. */
  readonly webhookSecret: string | undefined;
  /** File that keeps the record over a restart; without one the record is in memory only. */
  readonly dataFile: string | undefined;
}

const TEXT_DEFAULTS = {
  host: '127.0.0.1',
  webhookUrl: 'http://127.0.0.1:8080/api/v1/webhooks/simulator',
  webhookSecret: undefined,
  dataFile: undefined,
};

const numberEntries = Object.entries(NUMBER_SETTINGS) as [NumberName, NumberSetting][];

/** The given settings, with the default for each one that is absent or undefined. */
export function withDefaults(given: Partial<Settings>): Settings {
  const numbers = Object.fromEntries(numberEntries.map(([name, setting]) => [name, setting.value])) as Numbers;
  const present = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return { ...numbers, ...TEXT_DEFAULTS, ...present };
}

/**
 * Settings from environment variables.
 * @throws Error that names the variable when a number is not a whole number of zero or more
 */
export function settingsFromEnv(env: NodeJS.ProcessEnv): Settings {
  const numbers = numberEntries
    .filter(([, setting]) => env[setting.env])
    .map(([name, setting]) => [name, wholeNumber(setting.env, env[setting.env] ?? '')]);
  return withDefaults({
    ...Object.fromEntries(numbers),
    host: env.SIMULATOR_HOST || undefined,
    webhookUrl: env.CAUDAL_WEBHOOK_URL || undefined,
    webhookSecret: env.GATEWAY_WEBHOOK_SECRET || undefined,
    dataFile: env.SIMULATOR_DATA_FILE || undefined,
  } as Partial<Settings>);
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new Error(`${name} must be a whole number of zero or more, not "${text}"`);
  }
  return value;
}
