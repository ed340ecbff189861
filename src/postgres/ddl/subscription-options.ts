import { Problem } from '../../problems/problem.js';
import { slotNameProblem } from '../../shared/identifier.js';
import { majorOf } from '../../shared/server-version.js';
import { literal } from '../quoting.js';
import { refusal } from './options/combination-rules.js';
import { type OptionRule, requireAlterable, requireOption } from './options/option-rule.js';
import { RESERVED_SLOT_NAMES } from './options/slot-options.js';
import { STREAMING_PARALLEL, SUBSCRIPTION_OPTIONS } from './options/subscription-option-table.js';
import { onOff } from './option-rules.js';

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

const OPTION_NAMES = Object.keys(SUBSCRIPTION_OPTIONS) as SubscriptionOption[];
const RULES: Record<SubscriptionOption, OptionRule> = SUBSCRIPTION_OPTIONS;

/** Which options are changed only while the subscription is disabled and its worker has ended (slotName: to null). */
export const SUBSCRIPTION_OPTION_RULES = Object.fromEntries(
  OPTION_NAMES.map((name) => [name, { needsDisabled: RULES[name].alterWhile !== undefined }]),
) as Record<SubscriptionOption, { needsDisabled: boolean }>;

/** The options given, in the order of the table. */
export function givenOptions(options: SubscriptionOptions): SubscriptionOption[] {
  return OPTION_NAMES.filter((name) => options[name] !== undefined);
}

/** Throws OPTION_NOT_SUPPORTED or INVALID_INPUT for what no statement takes on that version. */
export function checkKnownOptions(options: SubscriptionOptions, versionNum: number): void {
  checkValues(options, versionNum);
  for (const name of givenOptions(options)) requireOption(RULES[name], versionNum, `/options/${name}`);
}

/**
 * Throws OPTION_NOT_SUPPORTED or INVALID_INPUT for what CREATE SUBSCRIPTION would refuse, on the subscriber or, where
 * its version is known, on the publisher.
 */
export function checkCreateOptions(options: SubscriptionOptions, versionNum: number, publisherVersion?: number): void {
  checkKnownOptions(options, versionNum);
  if (publisherVersion !== undefined) requirePublisher(options, publisherVersion);
  if (options.slotName !== null) return;
  if (options.enabled !== false) {
    throw refusedInput(
      'no-slot-disabled',
      '/options/enabled',
      'a subscription without a slot must be created disabled',
    );
  }
  if (options.createSlot !== false) {
    throw refusedInput('no-slot-not-created', '/options/createSlot', 'a subscription without a slot cannot create one');
  }
}

/** Throws for what ALTER SUBSCRIPTION ... SET would refuse whatever the subscription's state. */
export function checkAlterOptions(options: SubscriptionOptions, versionNum: number, publisherVersion?: number): void {
  checkValues(options, versionNum);
  for (const name of givenOptions(options)) requireAlterable(RULES[name], versionNum, `/options/${name}`);
  if (publisherVersion !== undefined) {
    requirePublisher(options, publisherVersion);
    for (const { option, publisherSince } of slotChanges(options)) {
      if (publisherVersion < publisherSince) throw olderPublisher(option, publisherSince, publisherVersion);
    }
  }
  // It is the slot of before that would be changed. True changes none: the subscription turns it on when it runs.
  if (options.slotName !== undefined && options.twoPhase === false) {
    const detail = 'slotName and twoPhase false cannot be set in one request';
    throw refusedInput('slot-name-or-two-phase', '/options/twoPhase', detail);
  }
}

/** Whether ALTER SUBSCRIPTION ... SET of these runs inside a transaction block. */
export function altersInTransaction(options: SubscriptionOptions): boolean {
  return slotChanges(options).length === 0;
}

/** The options whose change also changes the slot on the publisher, each with the version that needs. */
function slotChanges(options: SubscriptionOptions): { option: SubscriptionOption; publisherSince: number }[] {
  return givenOptions(options).flatMap((option) => {
    const { altersSlot } = RULES[option];
    if (altersSlot === undefined || (altersSlot.when === 'when false' && options[option] !== false)) return [];
    return [{ option, publisherSince: altersSlot.publisherSince }];
  });
}

/** An option that an older publisher does not know and silently ignores, and what comes of it. */
export interface IgnoredOption {
  option: SubscriptionOption;
  /** Major version of the publisher that would heed it. */
  publisherSince: number;
  meaning: string;
}

/** What a publisher of that version ignores of the options: the subscription works, but not as it was asked to. */
export function ignoredByPublisher(options: SubscriptionOptions, publisherVersion: number): IgnoredOption[] {
  return publisherRules(options)
    .filter(({ publisher }) => publisher.older === 'ignored' && publisherVersion < publisher.since)
    .map(({ option, publisher }) => ({
      option,
      publisherSince: majorOf(publisher.since),
      meaning: publisher.meaning,
    }));
}

function requirePublisher(options: SubscriptionOptions, publisherVersion: number): void {
  // Without a copy to wait for, the slot itself is created for two phases, which an older publisher cannot.
  const twoPhaseSlot = options.twoPhase === true && options.createSlot !== false && options.copyData === false;
  if (twoPhaseSlot && publisherVersion < SUBSCRIPTION_OPTIONS.twoPhase.publisher.since) {
    throw olderPublisher('twoPhase', SUBSCRIPTION_OPTIONS.twoPhase.publisher.since, publisherVersion);
  }
  for (const { option, publisher } of publisherRules(options)) {
    if (publisher.older === 'ignored' || publisherVersion >= publisher.since) continue;
    throw olderPublisher(option, publisher.since, publisherVersion);
  }
}

function olderPublisher(option: SubscriptionOption, since: number, publisherVersion: number): Problem {
  const minimumVersion = majorOf(since);
  const serverVersion = majorOf(publisherVersion);
  return refusal(
    'older-publisher',
    'OPTION_NOT_SUPPORTED',
    `${option} needs PostgreSQL ${minimumVersion} on the publisher, which is ${serverVersion}`,
    [{ pointer: `#/options/${option}`, detail: `needs PostgreSQL ${minimumVersion} on the publisher` }],
    { hint: RULES[option].instead, extra: { option, minimumVersion, serverVersion } },
  );
}

/** The rules of the options that ask something of the publisher; "off" asks nothing. */
function publisherRules(options: SubscriptionOptions) {
  return givenOptions(options).flatMap((option) => {
    const rule: OptionRule =
      option === 'streaming' && options.streaming === 'parallel' ? STREAMING_PARALLEL : RULES[option];
    const value = options[option];
    if (rule.publisher === undefined || value === false || value === 'off' || value === 'any') return [];
    return [{ option, publisher: rule.publisher }];
  });
}

function checkValues(options: SubscriptionOptions, versionNum: number): void {
  if (options.streaming === 'parallel') requireOption(STREAMING_PARALLEL, versionNum, '/options/streaming');
  if (typeof options.slotName !== 'string') return;
  const problem = slotNameProblem(options.slotName);
  if (problem) throw refusedInput('slot-name', '/options/slotName', `the slot name ${problem}`);
  if (RESERVED_SLOT_NAMES.has(options.slotName)) {
    throw refusedInput('slot-name', '/options/slotName', `the name "${options.slotName}" has a meaning of its own`);
  }
}

function refusedInput(rule: Parameters<typeof refusal>[0], pointer: string, detail: string): Problem {
  return refusal(rule, 'INVALID_INPUT', detail, [{ pointer: `#${pointer}`, detail }]);
}

/** `(keyword = value, ...)` of the options given. */
export function optionList(options: SubscriptionOptions): string {
  return `(${givenOptions(options)
    .map((name) => `${RULES[name].keyword} = ${optionValue(options[name])}`)
    .join(', ')})`;
}

function optionValue(value: SubscriptionOptions[SubscriptionOption]): string {
  if (value === null || value === undefined) return 'none';
  return typeof value === 'boolean' ? onOff(value) : literal(value);
}
