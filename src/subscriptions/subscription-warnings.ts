import { type RuleName } from '../postgres/ddl/options/combination-rules.js';
import { SUBSCRIPTION_OPTIONS } from '../postgres/ddl/options/subscription-option-table.js';
import type { OptionRule } from '../postgres/ddl/options/option-rule.js';
import type { SubscriptionSettings } from '../postgres/catalog/subscriptions.js';
import {
  ignoredByPublisher,
  type SubscriptionOption,
  type SubscriptionOptions,
} from '../postgres/ddl/subscription-options.js';
import { giveTo } from '../changes/missing-privilege.js';
import type { BarredTable } from '../postgres/catalog/barred-tables.js';
import { identifier } from '../postgres/quoting.js';
import { majorOf } from '../shared/server-version.js';

/** What should be known of a subscription as it is or was asked to be; nothing is refused for it. */
export interface SubscriptionWarning {
  rule: RuleName;
  /** Null: it is about no single option. */
  option: string | null;
  detail: string;
}

/** The options that the publisher's version ignores. */
export function ignoredOptions(options: SubscriptionOptions, publisherVersion: number | null): SubscriptionWarning[] {
  if (publisherVersion === null) return [];
  return ignoredByPublisher(options, publisherVersion).map(({ option, publisherSince, meaning }) => ({
    rule: 'older-publisher',
    option,
    detail: `the publisher is PostgreSQL ${majorOf(publisherVersion)} and ignores ${option}, which needs ${publisherSince} there. ${meaning}`,
  }));
}

/** The same of a subscription as it stands; what its version does by itself was asked for by nobody. */
export function ignoredSettings(
  settings: SubscriptionSettings,
  versionNum: number,
  publisherVersion: number | null,
): SubscriptionWarning[] {
  const asked = Object.entries(settings).filter(
    ([name, value]) => value !== null && String(value) !== defaultOf(name as SubscriptionOption, versionNum),
  );
  return ignoredOptions(Object.fromEntries(asked), publisherVersion);
}

const MOST_STATEMENTS = 20;

/** Tables whose changes, and copy, fail for want of a privilege of the subscription's owner, with what grants it. */
export function barredWarnings(tables: readonly BarredTable[]): SubscriptionWarning[] {
  if (tables.length === 0) return [];
  const grants = [...new Set(tables.map(grantFor))];
  const rest = grants.length > MOST_STATEMENTS ? ` And ${grants.length - MOST_STATEMENTS} more.` : '';
  const [{ schema, name, subscriptionOwner }] = tables as [BarredTable];
  const others = tables.length > 1 ? ` and ${tables.length - 1} more` : '';
  const detail =
    `${identifier(schema, name)}${others} cannot be written by ${identifier(subscriptionOwner)}, who owns the ` +
    `subscription: copying and applying them fails. ${grants.slice(0, MOST_STATEMENTS).join(' ')}${rest}`;
  return [{ rule: 'owner-may-write', option: null, detail }];
}

function grantFor({ schema, name, owner, superuser, subscriptionOwner, runAsOwner }: BarredTable): string {
  const to = identifier(subscriptionOwner);
  if (runAsOwner) return `grant select, insert, update, delete, truncate on ${identifier(schema, name)} to ${to};`;
  return superuser
    ? giveTo({ type: 'table', schema, name }, subscriptionOwner)
    : `grant ${identifier(owner)} to ${to};`;
}

/** Each once. */
export function together(...lists: SubscriptionWarning[][]): SubscriptionWarning[] {
  return lists.flat().filter(({ detail }, index, all) => all.findIndex((other) => other.detail === detail) === index);
}

/** What the version does where nothing is said; undefined: it has no such option. */
function defaultOf(option: SubscriptionOption, versionNum: number): string | undefined {
  const { defaults }: OptionRule = SUBSCRIPTION_OPTIONS[option];
  return defaults.filter(({ since }) => since <= versionNum).at(-1)?.value;
}
