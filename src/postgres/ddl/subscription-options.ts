import { PG14, PG15, PG16, PG17, PG18 } from '../../shared/server-version.js';
import { slotNameProblem } from '../../shared/identifier.js';
import { literal } from '../quoting.js';
import { invalidInput, onOff, requireVersion } from './option-rules.js';

/** Options of CREATE SUBSCRIPTION in PostgreSQL's meaning; absent: the server's default. */
export interface SubscriptionOptions {
  enabled?: boolean;
  copyData?: boolean;
  createSlot?: boolean;
  /** Null: the subscription has no slot (`slot_name = NONE`). */
  slotName?: string | null;
  binary?: boolean;
  streaming?: 'off' | 'on' | 'parallel';
  twoPhase?: boolean;
  disableOnError?: boolean;
  origin?: 'any' | 'none';
  failover?: boolean;
  synchronousCommit?: 'on' | 'off' | 'local' | 'remote_write' | 'remote_apply';
  passwordRequired?: boolean;
  runAsOwner?: boolean;
}

export type SubscriptionOption = keyof SubscriptionOptions;

interface OptionRule {
  keyword: string;
  /** First version whose CREATE SUBSCRIPTION takes it; absent: all. */
  since?: number;
  /** First version whose ALTER SUBSCRIPTION ... SET takes it; null: never; absent: as `since`. */
  alterSince?: number | null;
  /** What to do on an older server. */
  instead: string;
  /** Only while the subscription is disabled and its worker has ended. */
  needsDisabled?: true;
}

const ONLY_AT_CREATION = 'It takes effect only when the subscription is created.';

/** Where each option may be used, 13 to 18. */
export const SUBSCRIPTION_OPTION_RULES: Record<SubscriptionOption, OptionRule> = {
  enabled: { keyword: 'enabled', alterSince: null, instead: 'Use enable or disable.' },
  copyData: { keyword: 'copy_data', alterSince: null, instead: ONLY_AT_CREATION },
  createSlot: { keyword: 'create_slot', alterSince: null, instead: ONLY_AT_CREATION },
  slotName: { keyword: 'slot_name', instead: '', needsDisabled: true },
  synchronousCommit: { keyword: 'synchronous_commit', instead: '' },
  binary: { keyword: 'binary', since: PG14, instead: 'Leave it out: values travel as text.' },
  streaming: {
    keyword: 'streaming',
    since: PG14,
    instead: 'Leave it out: large transactions are sent when they commit.',
  },
  twoPhase: {
    keyword: 'two_phase',
    since: PG15,
    alterSince: PG18,
    needsDisabled: true,
    instead: 'Leave it out: prepared transactions are replicated when they commit.',
  },
  disableOnError: {
    keyword: 'disable_on_error',
    since: PG15,
    instead: 'Leave it out: the apply worker retries after an error.',
  },
  origin: {
    keyword: 'origin',
    since: PG16,
    instead: 'Leave it out: changes of every origin are sent. Never enable two directions at once.',
  },
  passwordRequired: {
    keyword: 'password_required',
    since: PG16,
    instead: 'Leave it out: only superusers create subscriptions there.',
  },
  runAsOwner: {
    keyword: 'run_as_owner',
    since: PG16,
    instead: "Leave it out: changes are applied as the subscription's owner.",
  },
  failover: {
    keyword: 'failover',
    since: PG17,
    needsDisabled: true,
    instead: 'Leave it out: protect the slot by other means (Patroni slots, pg_failover_slots).',
  },
};

const OPTION_NAMES = Object.keys(SUBSCRIPTION_OPTION_RULES) as SubscriptionOption[];

/** The options given, in the order of the rules. */
export function givenOptions(options: SubscriptionOptions): SubscriptionOption[] {
  return OPTION_NAMES.filter((name) => options[name] !== undefined);
}

/** Throws OPTION_NOT_SUPPORTED or INVALID_INPUT for what CREATE SUBSCRIPTION would refuse. */
export function checkCreateOptions(options: SubscriptionOptions, versionNum: number): void {
  checkValues(options, versionNum);
  for (const name of givenOptions(options)) {
    const rule = SUBSCRIPTION_OPTION_RULES[name];
    requireVersion(versionNum, rule.since ?? 0, `the option ${name}`, `/options/${name}`, rule.instead);
  }
  if (options.slotName !== null) return;
  const hint = 'Create it disabled and without a slot, set slotName later, then enable it.';
  if (options.enabled !== false) {
    throw invalidInput('/options/enabled', 'a subscription without a slot must be created disabled', hint);
  }
  if (options.createSlot !== false) {
    throw invalidInput('/options/createSlot', 'a subscription without a slot cannot create one', hint);
  }
}

/** Throws for what ALTER SUBSCRIPTION ... SET would refuse whatever the subscription's state. */
export function checkAlterOptions(options: SubscriptionOptions, versionNum: number): void {
  checkValues(options, versionNum);
  for (const name of givenOptions(options)) {
    const { since = 0, alterSince = since, instead } = SUBSCRIPTION_OPTION_RULES[name];
    const pointer = `/options/${name}`;
    if (alterSince === null) throw invalidInput(pointer, `the option ${name} cannot be changed later`, instead);
    requireVersion(versionNum, since, `the option ${name}`, pointer, instead);
    requireVersion(versionNum, alterSince, `changing the option ${name}`, pointer, ONLY_AT_CREATION);
  }
  if (options.slotName !== undefined && options.twoPhase !== undefined) {
    throw invalidInput('/options/twoPhase', 'slotName and twoPhase cannot be changed in one request');
  }
}

function checkValues(options: SubscriptionOptions, versionNum: number): void {
  if (options.streaming === 'parallel') {
    const instead = 'Use "on": large transactions are written to a file and applied when they commit.';
    requireVersion(versionNum, PG16, 'streaming "parallel"', '/options/streaming', instead);
  }
  if (typeof options.slotName !== 'string') return;
  const problem = slotNameProblem(options.slotName);
  if (problem) throw invalidInput('/options/slotName', `the slot name ${problem}`);
  // libpq and CREATE SUBSCRIPTION read the word as "no slot".
  if (options.slotName === 'none') {
    throw invalidInput('/options/slotName', 'the server reads the name "none" as no slot', 'Use null for no slot.');
  }
}

/** `(keyword = value, ...)` of the options given. */
export function optionList(options: SubscriptionOptions): string {
  return `(${givenOptions(options)
    .map((name) => `${SUBSCRIPTION_OPTION_RULES[name].keyword} = ${optionValue(options[name])}`)
    .join(', ')})`;
}

function optionValue(value: SubscriptionOptions[SubscriptionOption]): string {
  if (value === null || value === undefined) return 'none';
  return typeof value === 'boolean' ? onOff(value) : literal(value);
}
