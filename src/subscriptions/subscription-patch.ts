import { registerSecret } from '../observability/redact.js';
import type { Subscription } from '../postgres/catalog/subscriptions.js';
import { parseConninfo } from '../postgres/ddl/conninfo.js';
import { refusal } from '../postgres/ddl/options/combination-rules.js';
import type { Statement } from '../postgres/ddl/statement.js';
import {
  SUBSCRIPTION_OPTION_RULES,
  givenOptions,
  type SubscriptionOptions,
} from '../postgres/ddl/subscription-options.js';
import {
  askedFor,
  changeSubscriptionOwner,
  changeSubscriptionPublications,
  checkPublicationList,
  renameSubscription,
  setSubscriptionConnection,
  setSubscriptionOptions,
  setSubscriptionPublications,
} from '../postgres/ddl/subscription.ddl.js';
import { Problem } from '../problems/problem.js';

/** What a PATCH may change; everything not named stays. */
export interface SubscriptionPatch {
  name?: string;
  owner?: string;
  /** A secret. */
  connection?: string;
  /** The whole new list; else the changes of it. */
  publications?: string[];
  addPublications?: string[];
  removePublications?: string[];
  /** Whether tables that come with new publications are copied; default true. */
  copyData?: boolean;
  options?: SubscriptionOptions;
}

/**
 * In the order they run: options, connection, owner, publications (which asks the publisher), name. The
 * publisher's version is null where it is not known.
 */
export function patchStatements(
  current: Subscription,
  patch: SubscriptionPatch,
  versionNum: number,
  publisherVersion: number | null,
): Statement[] {
  const { name } = current;
  const statements: Statement[] = [];
  const options = changedOptions(current, patch.options ?? {});
  const optionStatements = setSubscriptionOptions(name, options, versionNum, publisherVersion ?? undefined);
  requireStateFor(current, options);
  statements.push(...optionStatements);
  if (patch.connection !== undefined) {
    const { password } = parseConninfo(patch.connection);
    if (password !== undefined) registerSecret(password);
    statements.push(...setSubscriptionConnection(name, patch.connection));
  }
  if (patch.owner !== undefined && patch.owner !== current.owner) {
    statements.push(...changeSubscriptionOwner(name, patch.owner));
  }
  statements.push(...publicationStatements(current, patch, versionNum));
  if (patch.name !== undefined && patch.name !== name) statements.push(...renameSubscription(name, patch.name));
  return statements;
}

/** The list as it is to be; null: as it is. */
export function publicationsAfter(current: Subscription, patch: SubscriptionPatch): string[] | null {
  const { publications, addPublications = [], removePublications = [] } = patch;
  const after =
    publications ??
    [...new Set([...current.publications, ...addPublications])].filter((name) => !removePublications.includes(name));
  return sameSet(after, current.publications) ? null : after;
}

function publicationStatements(current: Subscription, patch: SubscriptionPatch, versionNum: number): Statement[] {
  const { publications, addPublications: added = [], removePublications: removed = [], copyData } = patch;
  if (publicationsAfter(current, patch) === null) return [];
  // Only an enabled subscription can ask the publisher for its tables; a disabled one is refreshed once enabled.
  const refresh = { refresh: current.enabled, ...(copyData === undefined ? {} : { copyData }) };
  if (current.enabled) requireCopyAllowed(current, copyData);
  if (publications !== undefined) return setSubscriptionPublications(current.name, publications, refresh);
  const change = { current: current.publications, added, removed };
  return changeSubscriptionPublications(current.name, change, refresh, versionNum);
}

/** The server refuses it for the request alone, whether there is anything to copy or not. */
export function requireCopyAllowed({ twoPhaseState }: Subscription, copyData = true): void {
  if (!copyData || twoPhaseState !== 'enabled') return;
  const detail = 'two_phase is enabled: tables cannot be taken up with a copy';
  throw refusal('no-copy-with-two-phase', 'WRONG_STATE', detail, [{ pointer: '#/copyData', detail }]);
}

/** Throws INVALID_INPUT for what the request contradicts itself in, or no subscription can have. */
export function checkPatch({ publications, addPublications, removePublications }: SubscriptionPatch): void {
  const refuse = (pointer: string, detail: string) => {
    throw new Problem('INVALID_INPUT', detail, { errors: [{ pointer, detail }] });
  };
  if (publications !== undefined && addPublications !== undefined) {
    refuse('#/addPublications', 'excludes publications, which is the whole list');
  }
  if (publications !== undefined && removePublications !== undefined) {
    refuse('#/removePublications', 'excludes publications, which is the whole list');
  }
  if (addPublications?.some((name) => removePublications?.includes(name))) {
    refuse('#/removePublications', 'names a publication that addPublications names too');
  }
  if (publications !== undefined) checkPublicationList(publications);
  askedFor(addPublications ?? [], 'addPublications');
}

function changedOptions(current: Subscription, options: SubscriptionOptions): SubscriptionOptions {
  const settings: Record<string, unknown> = { ...current.settings };
  const changed = givenOptions(options).filter((option) => settings[option] !== options[option]);
  return Object.fromEntries(changed.map((option) => [option, options[option]]));
}

function requireStateFor(current: Subscription, options: SubscriptionOptions): void {
  const needing = givenOptions(options).filter(
    (option) => SUBSCRIPTION_OPTION_RULES[option].needsDisabled && (option !== 'slotName' || options.slotName === null),
  );
  if (needing.length === 0 || (!current.enabled && current.workers.length === 0)) return;
  const why = current.enabled ? 'it is enabled' : 'its worker has not ended yet';
  const detail = `${needing.join(', ')} can be changed only while the subscription is disabled: ${why}`;
  const errors = needing.map((option) => ({ pointer: `#/options/${option}`, detail: why }));
  const retry = current.enabled ? {} : { hint: 'Try again in a moment.', retryable: true };
  throw refusal('changed-while-disabled', 'WRONG_STATE', detail, errors, retry);
}

function sameSet(one: string[], other: string[]): boolean {
  return one.length === other.length && one.every((item) => other.includes(item));
}
