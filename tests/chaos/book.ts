import type { Answer, Request } from './client.ts';

const KINDS = ['wallet', 'payment', 'refund', 'credit', 'debit'] as const;
export type Kind = (typeof KINDS)[number];

/** A request and what it asks for, as the client that sends it knows. Amounts in minor units. */
export interface Operation {
  readonly kind: Kind;
  readonly request: Request;
  readonly userId: string;
  readonly amountMinor: number;
  /** Of a refund: the payment. */
  readonly paymentId?: string;
  /** Of a payment. */
  readonly method?: string;
}

/** An operation that was answered, hence whose fate is promised. */
export interface Acknowledged extends Operation {
  readonly status: number;
  /** Of what was made; undefined when the answer is a refusal. */
  readonly id: string | undefined;
  /** Why it was refused. */
  readonly code: string | undefined;
  /** The final status of a payment, where its client waited for it. */
  readonly final: string | undefined;
}

/** An operation that was done, or will be. */
export type Accepted = Acknowledged & { readonly id: string };

/** What the clients were told: everything that must be true whatever was killed. */
export interface Book {
  readonly acknowledged: readonly Acknowledged[];
  /** Everything of a kind that was accepted. */
  accepted(kind: Kind): readonly Accepted[];
  /** Notes an answer. */
  note(operation: Operation, answer: Answer): void;
  /** Notes the answer to a request that was sent once more; it must be the first one. */
  noteRepeated(first: Acknowledged, answer: Answer): void;
  /** Promises that were broken at once: another answer under the same key. */
  readonly broken: readonly string[];
}

export function createBook(): Book {
  const acknowledged: Acknowledged[] = [];
  const accepted = new Map<Kind, Accepted[]>(KINDS.map((kind) => [kind, []]));
  const broken: string[] = [];
  return {
    acknowledged,
    broken,
    accepted: (kind) => accepted.get(kind)!,
    note: (operation, { status, body }) => {
      if (status !== 201) {
        acknowledged.push({ ...operation, status, id: undefined, code: body.code, final: undefined });
        return;
      }
      const final = operation.kind === 'payment' && body.status !== 'PENDING' ? String(body.status) : undefined;
      const entry: Accepted = { ...operation, status, id: body.id!, code: undefined, final };
      acknowledged.push(entry);
      accepted.get(operation.kind)!.push(entry);
    },
    noteRepeated: (first, { status, body }) => {
      const same = status === first.status && body.id === first.id && body.code === first.code;
      if (!same) {
        const now = `${status} ${body.id ?? body.code}`;
        broken.push(`${first.request.key} was answered ${first.status} ${first.id ?? first.code}, then ${now}`);
      }
    },
  };
}
