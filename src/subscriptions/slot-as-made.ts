import type { Place } from '../changes/change.js';
import { COMBINATION_RULES, refusal } from '../postgres/ddl/options/combination-rules.js';
import type { SubscriptionOptions } from '../postgres/ddl/subscription-options.js';
import { PG15, PG17 } from '../shared/server-version.js';
import type { ServersService } from '../servers/servers.service.js';
import { lookAtSlot, misfitWarnings, requireFit, type SlotLook } from './slot-to-read.js';
import type { SubscriptionWarning } from './subscription-warnings.js';

const RULE = 'slot-as-it-was-made';

/** The subscription that is to read from it. */
export interface Reader {
  options: { failover?: boolean | null; twoPhase?: boolean | null } | SubscriptionOptions;
  versionNum: number;
  /** Reads from it at once; else somebody may see to it until then. */
  enabled: boolean;
  /** What of the request brings them together. */
  pointer: string;
}

/**
 * One that a subscription is created with, and which exists already. It is warned of where it is not read from yet, and
 * let where it cannot be looked at.
 */
export async function requireSlot(
  servers: ServersService,
  subscriber: string,
  { name, options = {} }: { name: string; options?: SubscriptionOptions },
  publisher: Place | null,
): Promise<SubscriptionWarning[]> {
  if (publisher === null || options.slotName === null) return [];
  const slot = options.slotName ?? name;
  const look = await lookAtSlot(servers, publisher, slot);
  const { versionNum } = await servers.facts(subscriber);
  const enabled = options.enabled !== false;
  const pointer = '#/options/slotName';
  if (enabled) requireFit(look, slot, publisher, { pointer });
  const differences = differencesFrom(look, slot, { options, versionNum, enabled, pointer });
  return enabled ? differences : [...misfitWarnings(look, slot, publisher), ...differences];
}

/**
 * In what a slot is not as the subscription says. No server refuses it (seen with 15 to 18): the slot stays as it was
 * made, but for twoPhase, which a subscription turns on for its slot when it first runs. Rejects with
 * PREREQUISITE_FAILED where a standby of the publisher would not have the slot although that was asked for, and where
 * the subscriber does not know what the slot sends.
 */
export function differencesFrom(
  { slot, versionNum: publisherVersion }: SlotLook,
  name: string,
  { options, versionNum, enabled, pointer }: Reader,
): SubscriptionWarning[] {
  const warnings: SubscriptionWarning[] = [];
  const warn = (option: string, detail: string) => warnings.push({ rule: RULE, option, detail });
  const refuse = (detail: string) => refusal(RULE, 'PREREQUISITE_FAILED', detail, [{ pointer, detail }]);
  const failover = options.failover === true;
  if (slot !== null && slot.failover !== null && versionNum >= PG17 && slot.failover !== failover) {
    if (failover && enabled) {
      throw refuse(`the slot ${name} is no failover slot, and stays none: no standby would have it`);
    }
    warn('failover', failover ? unprotected(name) : unsaid(name));
  }
  const sendsPrepared = slot?.twoPhase === true && (publisherVersion ?? 0) >= PG15;
  if (!sendsPrepared || options.twoPhase === true) return warnings;
  const made = `the slot ${name} was made with two_phase and stays so`;
  if (versionNum < PG15) {
    const stops = `${made}: a subscriber below 15 stops at the first prepared transaction`;
    if (enabled) throw refuse(stops);
    warn('twoPhase', `${stops}. Give a slot without it.`);
  } else {
    const detail = `${made}: prepared transactions are prepared on the subscriber too, whose max_prepared_transactions must allow for them, although the subscription says twoPhase false`;
    warn('twoPhase', `${detail}. Give twoPhase true, or a slot without it.`);
  }
  return warnings;
}

function unprotected(name: string): string {
  return `the slot ${name} is no failover slot although the subscription says so: no standby has it. ${COMBINATION_RULES[RULE].instead}`;
}

function unsaid(name: string): string {
  return `the slot ${name} is a failover slot and stays one, although the subscription says failover false: standbys keep a copy of it. Give failover true; to end it, change failover of the subscription, which changes the slot.`;
}
