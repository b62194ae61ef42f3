import { connect, type Socket } from 'node:net';

/** What became of one request. */
export interface Outcome {
  /** HTTP status; 0: the connection broke. */
  readonly status: number;
  readonly error?: string;
  /** The answer's body, in a buffer that is used again. */
  readonly body?: Buffer;
}

/** One HTTP/1.1 connection that is kept, with one request on its way at a time. */
export interface Connection {
  send(bytes: Buffer): void;
  close(): void;
}

const READ_BYTES = 64 * 1024;
const STATUS_AT = 'HTTP/1.1 '.length;
const HEAD_END = '\r\n\r\n';

/**
 * Opens a connection without the machinery of an HTTP client: of an answer only the status and the length are looked at,
 * in a buffer that is used again and again. Answers must have a Content-Length.
 */
export function openConnection(port: number, onReady: () => void, onOutcome: (outcome: Outcome) => void): Connection {
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  let partial: Buffer | undefined;

  const receive = (length: number): void => {
    const chunk = buffer.subarray(0, length);
    const answer = partial === undefined ? chunk : Buffer.concat([partial, chunk]);
    const body = bodyOf(answer);
    if (body === undefined) {
      partial = partial === undefined ? Buffer.from(chunk) : answer;
      return;
    }
    partial = undefined;
    onOutcome({ status: Number(answer.toString('latin1', STATUS_AT, STATUS_AT + 3)), body });
  };

  const socket: Socket = connect({
    host: '127.0.0.1',
    port,
    noDelay: true,
    onread: {
      buffer,
      callback: (length) => {
        receive(length);
        return true;
      },
    },
  });
  let error = 'closed by the server';
  socket.on('connect', onReady);
  socket.on('error', (cause: NodeJS.ErrnoException) => {
    error = cause.code ?? cause.message;
  });
  socket.on('close', () => onOutcome({ status: 0, error }));
  return {
    send: (bytes) => void socket.write(bytes),
    close: () => {
      socket.removeAllListeners('close');
      socket.destroy();
    },
  };
}

/** Undefined as long as the answer is not whole. */
function bodyOf(answer: Buffer): Buffer | undefined {
  const head = answer.indexOf(HEAD_END);
  if (head < 0) return undefined;
  const start = head + HEAD_END.length;
  const end = start + contentLength(answer.toString('latin1', 0, head));
  return answer.length < end ? undefined : answer.subarray(start, end);
}

function contentLength(head: string): number {
  const at = head.indexOf('content-length: ');
  if (at < 0) throw new Error(`the load understands only answers with a content-length, not: ${head}`);
  return Number.parseInt(head.slice(at + 'content-length: '.length, at + 'content-length: '.length + 12), 10);
}
