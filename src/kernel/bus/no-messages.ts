import { LOG_START } from '../core/log-position.ts';
import type { Consumer } from './consumer.ts';
import type { MemberProgress } from './group.ts';

/** The consumer of a process that only takes a service's requests: its messages are for other processes. */
export function consumeNothing(name: string, member: string): Consumer {
  const nothing = async (): Promise<void> => undefined;
  const value: MemberProgress = { cursor: LOG_START, ahead: {} };
  return {
    start: nothing,
    take: () => undefined,
    confirm: () => undefined,
    rewind: nothing,
    pending: 0,
    needsCare: false,
    maintain: nothing,
    progress: { consumer: name, member, value },
    idleProgress: () => undefined,
    heartbeat: nothing,
    placeOf: () => undefined,
    deadLetters: (named) => named,
    lag: async () => 0,
    owned: [],
    onReady: () => undefined,
    stop: nothing,
  };
}
