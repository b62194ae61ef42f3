import type { RecordedEvent } from '#kernel/core/event.ts';
import type { ServiceDefinition } from '#kernel/processor/service.ts';
import type { Domain } from './domain.ts';

/** Chooses: `pick(n)` is a whole number from 0 to n - 1. */
export type Pick = (n: number) => number;

interface Inbox {
  readonly service: ServiceDefinition;
  readonly messages: { readonly event: RecordedEvent; readonly notBefore: number }[];
}

/** The bus between the services of a domain, as bad as the kernel's may be. */
export interface Network {
  /** Gives one message to one service. False when there is none that can be given now. */
  deliver(): boolean;
  /** Messages that wait, also those that were set aside. */
  waiting(): number;
}

export interface NetworkOptions {
  readonly domain: Domain;
  readonly services: readonly ServiceDefinition[];
  readonly pick: Pick;
  /**
   * The kernel gives every service each message once, in the order of its key. These are also given messages twice and in
   * any order.
   */
  readonly robust: readonly string[];
  /** For this long (milliseconds) at least a message is set aside that went to the dead letters and was replayed. */
  readonly replayAfterMs: number;
  /** Told of each message that a service has handled. */
  handled(service: string, event: RecordedEvent): void;
}

export function createNetwork(options: NetworkOptions): Network {
  const { domain, pick, robust } = options;
  const inboxes: readonly Inbox[] = options.services.map((service) => ({ service, messages: [] }));
  let published = 0;

  function publish(): void {
    for (const event of domain.log.slice(published)) {
      for (const { service, messages } of inboxes) {
        if (service.reactions[event.type] !== undefined) messages.push({ event, notBefore: 0 });
      }
    }
    published = domain.log.length;
  }

  /** The index of a message that may be given now: the first of its key, or any where the service is robust. */
  function choose({ service, messages }: Inbox): number | undefined {
    const anyOrder = robust.includes(service.name);
    const keys = new Set<string>();
    const ready = [...messages.keys()].filter((i) => {
      const { event, notBefore } = messages[i] as Inbox['messages'][number];
      const first = anyOrder || notBefore > 0 || !keys.has(keyOf(event));
      if (notBefore === 0) keys.add(keyOf(event));
      return first && notBefore <= domain.now();
    });
    return ready[pick(ready.length)];
  }

  function give({ service, messages }: Inbox, index: number): void {
    const { event, notBefore } = messages[index] as Inbox['messages'][number];
    if (notBefore === 0 && pick(30) === 0) {
      messages[index] = { event, notBefore: domain.now() + options.replayAfterMs + pick(60_000) };
      return;
    }
    if (!robust.includes(service.name) || pick(10) > 0) messages.splice(index, 1);
    for (const reaction of service.reactions[event.type]?.(event) ?? []) {
      const result = domain.tell(reaction);
      if (!result.ok) throw new Error(`${service.name} refuses ${event.type}: ${result.refusal.message}`);
    }
    options.handled(service.name, event);
  }

  return {
    deliver: () => {
      publish();
      const ready = inboxes.flatMap((inbox) => {
        const index = choose(inbox);
        return index === undefined ? [] : [{ inbox, index }];
      });
      const chosen = ready[pick(ready.length)];
      if (chosen !== undefined) give(chosen.inbox, chosen.index);
      return chosen !== undefined;
    },
    waiting: () => {
      publish();
      return inboxes.reduce((sum, { messages }) => sum + messages.length, 0);
    },
  };
}

function keyOf({ data }: RecordedEvent): string {
  return data.payment_id ?? data.id;
}
