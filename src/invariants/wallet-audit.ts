import type { RecordedEvent } from '#kernel/core/event.ts';
import { type Finding, nameOf } from './finding.ts';

/** What is known of one wallet, in minor units. */
export interface WalletFacts {
  readonly balanceMinor: number;
  readonly limitMinor: number;
  /** The stream position of the last event that says so. */
  readonly position: number;
}

/**
 * The wallet after an event of its stream.
 * @param before undefined: its past is not known
 * @returns the facts, and what the event breaks
 */
export function auditWallet(
  before: WalletFacts | undefined,
  event: RecordedEvent,
): { readonly facts: WalletFacts | undefined; readonly findings: readonly Finding[] } {
  const { type, data, streamPosition: position } = event;
  if (type === 'wallet.opened') {
    const findings = before === undefined ? [] : [broken(event, 'it was opened twice')];
    return { facts: { balanceMinor: 0, limitMinor: data.overdraft_limit_minor, position }, findings };
  }
  if (type !== 'wallet.debited' && type !== 'wallet.credited') return { facts: before, findings: [] };
  const signedMinor = type === 'wallet.debited' ? -data.amount_minor : data.amount_minor;
  const { previous_balance_minor: previous, new_balance_minor: balanceMinor } = data;
  const findings: Finding[] = [];
  if (before !== undefined && previous !== before.balanceMinor)
    findings.push(broken(event, `its balance was ${before.balanceMinor}, not ${previous}`));
  if (balanceMinor !== previous + signedMinor)
    findings.push(broken(event, `${previous} and ${signedMinor} are not ${balanceMinor}`));
  if (before !== undefined && signedMinor < 0 && balanceMinor < -before.limitMinor)
    findings.push(broken(event, `${balanceMinor} is below its limit of ${-before.limitMinor}`));
  return { facts: before && { ...before, balanceMinor, position }, findings };
}

function broken(event: RecordedEvent, what: string): Finding {
  const message = `wallet ${event.aggregateId}: ${what} (${nameOf(event)})`;
  return { invariant: 'within_limit', message, eventId: event.id, subject: event.aggregateId };
}
