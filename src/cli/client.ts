import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { text } from 'node:stream/consumers';
import { readConfig } from '#src/config.ts';
import { CliError, wrongUse } from './failure.ts';

const BASE_PATH = '/api/v1';
const ANSWER_TIMEOUT_MS = 60_000;
const PAGE_SIZE = 200;
/** Under this name the platform notes what an operator did. */
const OPERATOR = (process.env.USER || 'command line').replace(/[^\x20-\x7e]/g, '?').slice(0, 100);

/** What the API answered, whatever its status. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  /** Parsed JSON; undefined when there is no body. */
  readonly body: unknown;
}

export interface RequestOptions {
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly body?: object;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The API of a running Caudal. Paths are those below `/api/v1`. */
export interface Client {
  readonly url: string;
  /** The answer, also one that says no. @throws CliError when nobody answers */
  send(method: string, path: string, options?: RequestOptions): Promise<HttpAnswer>;
  /** The body of a success. @throws CliError when nobody answers, ApiError when the answer is no */
  get<T>(path: string, query?: RequestOptions['query']): Promise<T>;
  post<T>(path: string, body: object, headers?: RequestOptions['headers']): Promise<T>;
  /** Up to `limit` items of a list, from as many pages as it takes. */
  list<T>(path: string, query: RequestOptions['query'], limit: number): Promise<readonly T[]>;
  close(): void;
}

/** The API said no. */
export class ApiError extends CliError {
  readonly code: string | undefined;

  constructor(answer: HttpAnswer, what: string) {
    const { code, detail, title, trace_id } = problemOf(answer);
    const trace = trace_id === undefined ? '' : ` (trace id ${trace_id})`;
    super(`${what}: ${answer.status} ${code ?? ''}: ${detail ?? title ?? 'no reason given'}${trace}`);
    this.code = code;
  }
}

/** What a refusal says: problem details, where the server sends them. */
export function problemOf({ body }: HttpAnswer): Problem {
  return typeof body === 'object' && body !== null ? body : {};
}

interface Problem {
  readonly code?: string;
  readonly title?: string;
  readonly detail?: string;
  readonly trace_id?: string;
}

/** Nobody answers at the address, or the connection broke before the answer came. */
export class NoAnswerError extends CliError {}

/**
 * A client of the API with connections that are kept.
 * @param url such as `http://127.0.0.1:8080`; by default that of this machine, by `PORT`
 * @param maxConnections requests on their way at once; further ones wait
 */
export function createClient(url: string | undefined, maxConnections = 4): Client {
  const origin = originOf(url ?? defaultUrl());
  const secure = origin.protocol === 'https:';
  const agent = new (secure ? HttpsAgent : HttpAgent)({ keepAlive: true, maxSockets: maxConnections });
  const request = secure ? httpsRequest : httpRequest;

  const exchange = (method: string, path: string, options: RequestOptions): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const body = options.body === undefined ? undefined : Buffer.from(JSON.stringify(options.body));
      const headers = {
        accept: 'application/json',
        'x-operator': OPERATOR,
        ...(body !== undefined && { 'content-type': 'application/json', 'content-length': body.length }),
        ...options.headers,
      };
      const target = new URL(
        `${origin.pathname.replace(/\/$/, '')}${BASE_PATH}${path}${queryText(options.query)}`,
        origin,
      );
      const sent = request(target, { method, agent, headers, timeout: ANSWER_TIMEOUT_MS }, resolve);
      sent.on('timeout', () => sent.destroy(new Error(`no answer within ${ANSWER_TIMEOUT_MS / 1000} s`)));
      sent.on('error', reject);
      sent.end(body);
    });

  const send = async (method: string, path: string, options: RequestOptions = {}): Promise<HttpAnswer> => {
    try {
      const response = await exchange(method, path, options);
      const content = await text(response);
      return { status: response.statusCode!, headers: response.headers, body: parse(content) };
    } catch (cause) {
      throw noAnswer(origin.href, cause as NodeJS.ErrnoException);
    }
  };

  const expectSuccess = async <T>(method: string, path: string, options: RequestOptions): Promise<T> => {
    const answer = await send(method, path, options);
    if (answer.status >= 400) throw new ApiError(answer, `${method} ${path}`);
    return answer.body as T;
  };

  const get = <T>(path: string, query?: RequestOptions['query']): Promise<T> =>
    expectSuccess('GET', path, query === undefined ? {} : { query });

  return {
    url: origin.href,
    send,
    get,
    post: (path, body, headers) => expectSuccess('POST', path, headers === undefined ? { body } : { body, headers }),
    list: async <T>(path: string, query: RequestOptions['query'], limit: number) => {
      const found: T[] = [];
      let cursor: string | undefined;
      do {
        const page: { data: T[]; next_cursor: string | null } = await get(path, {
          ...query,
          limit: Math.min(PAGE_SIZE, limit - found.length),
          cursor,
        });
        found.push(...page.data);
        cursor = page.next_cursor ?? undefined;
      } while (cursor !== undefined && found.length < limit);
      return found;
    },
    close: () => agent.destroy(),
  };
}

/** Runs `work` with a client, whose connections end with it. */
export async function withClient<T>(url: string | undefined, work: (client: Client) => Promise<T>): Promise<T> {
  const client = createClient(url);
  try {
    return await work(client);
  } finally {
    client.close();
  }
}

function defaultUrl(): string {
  return `http://127.0.0.1:${readConfig(process.env).port}`;
}

function originOf(url: string): URL {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed?.protocol === 'http:' || parsed?.protocol === 'https:') return parsed;
  throw wrongUse(`${url} is not the address of a server; CAUDAL_URL or --url must be such as http://127.0.0.1:8080`);
}

function queryText(query: RequestOptions['query'] = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  return given.length === 0
    ? ''
    : `?${new URLSearchParams(given.map(([name, value]): [string, string] => [name, String(value)]))}`;
}

function parse(content: string): unknown {
  if (content === '') return undefined;
  try {
    return JSON.parse(content);
  } catch {
    return { detail: content.slice(0, 200) };
  }
}

function noAnswer(url: string, cause: NodeJS.ErrnoException): NoAnswerError {
  const reason = cause.message || cause.code || 'the connection failed';
  const help = 'Start it with "bin/caudal start", or say where it runs: CAUDAL_URL or --url';
  return new NoAnswerError(`no Caudal answers at ${url} (${reason}). ${help}`, undefined, { cause });
}
