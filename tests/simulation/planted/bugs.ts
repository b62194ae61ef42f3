/** A deliberate bug: a text of a source file, which must stand there once, and what takes its place. */
export interface PlantedBug {
  /** From the root of the project. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  /** A second change, where one alone is caught by a second line of defence in the platform itself. */
  readonly also?: Omit<PlantedBug, 'also'>;
}

/** The bugs that the simulation must find, by what they do. Each is a mistake that somebody could make. */
export const PLANTED_BUGS: Readonly<Record<string, PlantedBug>> = {
  'the position of a stream is not checked': {
    file: 'src/kernel/event-store/memory/commit.ts',
    find: 'if (position !== expectedPosition) {',
    replace: 'if (position < 0) {',
  },
  'old states are decided on, and streams that were only read are not checked': {
    file: 'src/kernel/event-store/memory/commit.ts',
    find: 'of [...seen, ...appends]) {',
    replace: 'of [...seen.slice(seen.length), ...appends]) {',
    also: {
      file: 'src/kernel/processor/commits.ts',
      find: 'if (shared || !tail.alone) states.doubt();',
      replace: '',
    },
  },
  'a batch does not depend on the one before': {
    file: 'src/kernel/processor/commits.ts',
    find: '{ ...commit, after: before.committed }',
    replace: 'commit',
  },
  'an earlier answer is looked for since the last attempt only': {
    file: 'src/kernel/processor/look-back.ts',
    find: 'const found = page.find(isRequest);',
    replace: 'const found = page.findLast(isRequest);',
  },
  'a request is answered before the commit': {
    file: 'src/kernel/processor/commits.ts',
    find: '    const { empty, commit } = batch.prepared;\n',
    replace: '    const { empty, commit } = batch.prepared;\n    batch.prepared.settle(undefined);\n',
  },
  'the answer is not kept under its idempotency key': {
    file: 'src/kernel/processor/batch.ts',
    find: 'for (const key of keys) into.push(',
    replace: 'for (const key of keys.slice(keys.length)) into.push(',
  },
  'a partition is given back where its member is, not where it is itself': {
    file: 'src/kernel/bus/group.ts',
    find: 'return ahead === undefined ? progress.cursor : later(ahead, progress.cursor);',
    replace: 'return progress.cursor;',
  },
  'messages are lost on hand-over': {
    file: 'src/kernel/bus/group.ts',
    find: 'earlier(least, partition.progress), first.progress)',
    replace: 'later(least, partition.progress), first.progress)',
  },
  'messages that come twice are handled twice': {
    file: 'src/kernel/bus/inbox.ts',
    find: 'append(events.filter(isNew), next)',
    replace: 'append(events, next)',
  },
  'progress is not saved with the effect': {
    file: 'src/kernel/event-store/memory/commit.ts',
    find: 'found.progress = JSON.stringify(value);',
    replace: 'found.progress ||= JSON.stringify(value);',
  },
  'a member that was put out can commit': {
    file: 'src/kernel/event-store/memory/commit.ts',
    find: 'if (found === undefined) throw new MembershipLostError(',
    replace:
      'if (found === undefined) return () => undefined;\n  if (found === undefined) throw new MembershipLostError(',
  },
  'what was taken is not handed out again after a commit in doubt': {
    file: 'src/kernel/processor/processor.ts',
    find: 'await commits.writer.recover();\n        await consumer.rewind(membershipLost);',
    replace: 'await commits.writer.recover();\n        if (membershipLost) await consumer.rewind(membershipLost);',
  },
  'an earlier answer of the wallet is not looked for': {
    file: 'src/services/wallets/decider.ts',
    find: 'return context.answered === true;',
    replace: 'return context.answered === null;',
  },
  'a credit is made twice over': {
    file: 'src/services/wallets/decider.ts',
    find: 'const signed = credit ? amountMinor : -amountMinor;',
    replace: 'const signed = credit ? 2 * amountMinor : -amountMinor;',
  },
  'a refused debit counts as made': {
    file: 'src/services/payments/index.ts',
    find: "outcome: 'declined', reason: data.reason }),\n      'wallet.credited'",
    replace: "outcome: 'debited', reason: data.reason }),\n      'wallet.credited'",
  },
  'the fraud check is not heeded': {
    file: 'src/services/payments/index.ts',
    find: "type: 'FraudChecked', status: data.status,",
    replace: "type: 'FraudChecked', status: 'APPROVED',",
  },
  'a charge that timed out counts as not made': {
    file: 'src/services/gateway/attempt.ts',
    find: "return recordFailure('RecordUnknown', sent.reason, true, operation, ports);",
    replace: "return recordFailure('RecordNotTaken', sent.reason, true, operation, ports);",
  },
  'a call that may still arrive is not waited for': {
    file: 'src/services/gateway/attempt.ts',
    find: "if (mayHaveMoved(operation) && !settled) return 'settle';",
    replace: 'settled = true;',
  },
  'a call of a process that died is not waited for': {
    file: 'src/services/gateway/attempt.ts',
    find: "if (mayHaveMoved(operation) && !settled) return 'settle';",
    replace: "if (operation.abandoned) settled = true;\nif (mayHaveMoved(operation) && !settled) return 'settle';",
  },
  'a charge is answered as often as the gateway tells of it': {
    file: 'src/services/gateway/decider.ts',
    find: "command.answer.status === 'succeeded' && state.final !== 'SUCCESS'",
    replace: "command.answer.status === 'succeeded'",
  },
  'a read model leaves out an event of each batch': {
    file: 'src/kernel/projections/follower.ts',
    find: 'events.filter((event) => !unfit.has(event.id))',
    replace: 'events.filter((event, i) => !unfit.has(event.id) && (i === 0 || i < events.length - 1))',
  },
  'rows of the wallets are kept in memory after they were lost': {
    file: 'src/kernel/processor/inline.ts',
    find: 'return kept?.stream === streamOf(first) && kept.position === first.streamPosition - 1 ? kept.row : undefined;',
    replace: 'return kept?.row;',
  },
  'units are sold that are promised to others': {
    file: 'src/services/inventory/levels.decider.ts',
    find: 'return onHand - reserved;',
    replace: 'return onHand;',
    also: {
      file: 'src/services/inventory/levels.decider.ts',
      find: 'reserved >= 0 && available === onHand - reserved && available >= 0,',
      replace: 'reserved >= 0,',
    },
  },
  'money that comes after the end of a purchase is kept': {
    file: 'src/services/purchases/decider.ts',
    find: "if (purchase.state === 'CANCELLED') return refundOf(purchase, purchase.amountMinor, purchase.reason!, now);",
    replace: "if (purchase.state === 'CANCELLED') return [];",
  },
};
