import { formatLsn, type Lsn } from '../../shared/lsn.js';
import { PG14, PG15 } from '../../shared/server-version.js';
import { identifier, literal } from '../quoting.js';
import { buildConninfo, parseConninfo, redactConninfo } from './conninfo.js';
import { refusal } from './options/combination-rules.js';
import { requireOption } from './options/option-rule.js';
import { SUBSCRIPTION_ACTIONS } from './options/subscription-option-table.js';
import { invalidInput, requireIdentifier } from './option-rules.js';
import { type Need, statement, type Statement } from './statement.js';
import {
  altersInTransaction,
  checkAlterOptions,
  checkCreateOptions,
  givenOptions,
  optionList,
  type SubscriptionOptions,
} from './subscription-options.js';

export interface SubscriptionSpec {
  name: string;
  /** libpq connection string to the publisher; a secret. */
  connection: string;
  publications: string[];
  options?: SubscriptionOptions;
}

const SUBSCRIPTION_LOCK = 'ACCESS EXCLUSIVE on the subscription; no table lock';
const CREATE_LOCK = 'ACCESS SHARE on each subscribed table: waits only for ACCESS EXCLUSIVE';
const REFRESH_LOCK =
  'ACCESS EXCLUSIVE on the subscription; ACCESS SHARE on each new table; ACCESS EXCLUSIVE on pg_subscription_rel when tables leave';

/**
 * CREATE SUBSCRIPTION. Outside a transaction when the server creates the slot. Throws OPTION_NOT_SUPPORTED also for what
 * the publisher refuses, where its version is given.
 */
export function createSubscription(spec: SubscriptionSpec, versionNum: number, publisherVersion?: number): Statement[] {
  requireIdentifier(spec.name, '/name');
  const publications = publicationList(askedFor(spec.publications));
  const options = spec.options ?? {};
  checkCreateOptions(options, versionNum, publisherVersion);
  const connection = buildConninfo(parseConninfo(spec.connection));
  const withClause = givenOptions(options).length > 0 ? ` with ${optionList(options)}` : '';
  const text = (conninfo: string) =>
    `create subscription ${identifier(spec.name)} connection ${literal(conninfo)} publication ${publications}${withClause}`;
  return [
    statement(text(connection), CREATE_LOCK, {
      redactedSql: text(redactConninfo(connection)),
      transactional: options.createSlot === false,
      effect: effectOfCreation(options),
      needs: { kind: 'create-subscription' },
    }),
  ];
}

/** ALTER SUBSCRIPTION ... SET (options). Failover, two_phase and slot_name need it disabled, its worker ended. */
export function setSubscriptionOptions(
  name: string,
  options: SubscriptionOptions,
  versionNum: number,
  publisherVersion?: number,
): Statement[] {
  checkAlterOptions(options, versionNum, publisherVersion);
  if (givenOptions(options).length === 0) return [];
  const transactional = altersInTransaction(options);
  const needs = { ...ownerOf(name), withoutPassword: options.passwordRequired === false };
  const slot = transactional ? '' : ' The slot that it has until then is changed too, on the publisher.';
  const effect = `Its worker starts anew with them.${slot}`;
  return [alter(name, `set ${optionList(options)}`, { transactional, needs, effect })];
}

export interface RefreshOptions {
  /** Take up the tables at once; needs an enabled subscription. Without it the set of tables stays until one is made. */
  refresh: boolean;
  copyData?: boolean;
}

/** Replaces the list of publications. */
export function setSubscriptionPublications(
  name: string,
  publications: readonly string[],
  options: RefreshOptions,
): Statement[] {
  return alterPublications(name, `set publication ${publicationList(askedFor(publications))}`, options);
}

/** Adding only, or dropping only, holds whatever the list is by then; both at once, and on 13, set it as a whole. */
export function changeSubscriptionPublications(
  name: string,
  { current, added, removed }: { current: readonly string[]; added: readonly string[]; removed: readonly string[] },
  options: RefreshOptions,
  versionNum: number,
): Statement[] {
  const joining = added.filter((publication) => !current.includes(publication));
  const leaving = removed.filter((publication) => current.includes(publication));
  const set = [...current.filter((publication) => !leaving.includes(publication)), ...joining];
  if (joining.length === 0 && leaving.length === 0) return [];
  const asWhole = versionNum < SUBSCRIPTION_ACTIONS.addPublication.since || (joining.length > 0 && leaving.length > 0);
  if (asWhole || set.length === 0) return setSubscriptionPublications(name, set, options);
  if (joining.length > 0)
    return alterPublications(name, `add publication ${publicationList(askedFor(joining))}`, options);
  // A refresh it is too: tables that came to the other publications meanwhile are taken up with it. Before 15 copied.
  const { refresh, copyData } = options;
  const settings = copyData === false && versionNum >= PG15 ? { refresh, copyData } : { refresh };
  return alterPublications(name, `drop publication ${publicationList(leaving)}`, settings);
}

function alterPublications(name: string, change: string, { refresh, copyData }: RefreshOptions): Statement[] {
  const settings = [`refresh = ${refresh}`, ...(refresh && copyData !== undefined ? [`copy_data = ${copyData}`] : [])];
  const lock = refresh ? REFRESH_LOCK : SUBSCRIPTION_LOCK;
  const effect = refresh ? effectOfRefresh(copyData) : 'The tables stay as they are until it is refreshed.';
  return [alter(name, `${change} with (${settings.join(', ')})`, { lock, effect, transactional: !refresh })];
}

export function setSubscriptionConnection(name: string, connection: string): Statement[] {
  const canonical = buildConninfo(parseConninfo(connection));
  const { sql: redactedSql } = alter(name, `connection ${literal(redactConninfo(canonical))}`);
  return [alter(name, `connection ${literal(canonical)}`, { redactedSql, effect: 'Its worker connects anew, there.' })];
}

export function enableSubscription(name: string): Statement[] {
  return [alter(name, 'enable', { effect: 'Its worker starts within seconds and applies what the slot has kept.' })];
}

export function disableSubscription(name: string): Statement[] {
  return [
    alter(name, 'disable', {
      effect: 'Its workers end; its slot keeps WAL on the publisher until it is enabled or dropped.',
    }),
  ];
}

/** Asks the publisher for the tables of the publications: adds the new ones, removes those gone. */
export function refreshSubscription(name: string, options: { copyData?: boolean } = {}): Statement[] {
  const settings = options.copyData === undefined ? '' : ` with (copy_data = ${options.copyData})`;
  return [
    alter(name, `refresh publication${settings}`, {
      lock: REFRESH_LOCK,
      transactional: false,
      effect: effectOfRefresh(options.copyData),
    }),
  ];
}

/** Skips the whole transaction that ends at `lsn` (null: take the wish back). 15 and newer. */
export function skipTransaction(name: string, lsn: Lsn | null, versionNum: number): Statement[] {
  requireOption(SUBSCRIPTION_ACTIONS.skip, versionNum, '/lsn');
  if (lsn === 0n) throw invalidInput('/lsn', 'the LSN must be that of a transaction, not 0/0');
  const value = lsn === null ? 'none' : literal(formatLsn(lsn));
  const effect =
    lsn === null ? 'Nothing is skipped.' : 'All changes of the transaction that ends there are lost to the subscriber.';
  return [alter(name, `skip (lsn = ${value})`, { effect })];
}

export function renameSubscription(name: string, newName: string): Statement[] {
  requireIdentifier(newName, '/name');
  return [alter(name, `rename to ${identifier(newName)}`, { effect: 'The slot keeps its name.' })];
}

export function changeSubscriptionOwner(name: string, owner: string): Statement[] {
  requireIdentifier(owner, '/owner');
  return [
    alter(name, `owner to ${identifier(owner)}`, {
      lock: 'no table lock; the subscription is locked against other changes',
      effect: 'From 16 on changes are applied with the rights of the new owner.',
    }),
  ];
}

/** DROP SUBSCRIPTION; with its slot attached the server connects to the publisher and drops the slot there. */
export function dropSubscription(name: string, slotAttached: boolean): Statement[] {
  const slot = slotAttached ? ', and its slot on the publisher is dropped' : '';
  const effect = `Applying ends${slot}; the rows stay.`;
  const options = { effect, needs: ownerOf(name), transactional: !slotAttached };
  return [statement(`drop subscription ${identifier(name)}`, SUBSCRIPTION_LOCK, options)];
}

/** What leads nowhere: libpq refuses the port before it connects. 16 and newer ask for a password where one is needed. */
const NOWHERE = { host: 'localhost', port: '0', password: 'none' };

/**
 * Drops the subscription without a word to the publisher: every slot stays there. One transaction, so that a failure
 * leaves the subscription as it was; its first statement takes the subscription's lock.
 *
 * Parted from its slot, 14 and newer still connect to drop the slots of tables that are not ready, and go on without
 * where that fails; of a publisher that is silent nothing ends the attempt (`connect_timeout` is not heeded there).
 */
export function dropSubscriptionUnheard(name: string, versionNum: number): Statement[] {
  const [disable, ...parted] = dropSubscriptionKeepingSlot(name);
  const away = setSubscriptionConnection(name, buildConninfo(NOWHERE)).map((each) => ({
    ...each,
    effect: 'Leads nowhere, so that the drop does not wait for the publisher.',
  }));
  return [disable!, ...(versionNum < PG14 ? [] : away), ...parted];
}

/**
 * Parts the subscription from its slot and drops it. One transaction, so that a failure leaves the subscription as it
 * was. On 14 and newer the slots of tables that are not ready go too where the publisher answers.
 */
export function dropSubscriptionKeepingSlot(name: string): Statement[] {
  return [
    ...disableSubscription(name),
    alter(name, 'set (slot_name = none)', { effect: 'The slot stays on the publisher and keeps WAL there.' }),
    ...dropSubscription(name, false),
  ];
}

function effectOfCreation({ enabled, copyData }: SubscriptionOptions): string {
  if (enabled === false) return 'Nothing is copied or applied before it is enabled.';
  if (copyData === false) return 'Applies changes from the place of its slot on; existing rows are not copied.';
  return 'Copies every row of the published tables, then applies changes; rows that are there already stop the copy.';
}

function effectOfRefresh(copyData: boolean | undefined): string {
  const copied = copyData === false ? 'are applied without a copy' : 'are copied, then applied';
  return `New tables of its publications ${copied}; those that left are applied no more and keep their rows.`;
}

function alter(
  name: string,
  change: string,
  { lock = SUBSCRIPTION_LOCK, ...options }: Partial<Omit<Statement, 'sql'>> = {},
): Statement {
  const sql = `alter subscription ${identifier(name)} ${change}`;
  return statement(sql, lock, { needs: ownerOf(name), ...options });
}

function ownerOf(name: string): Extract<Need, { kind: 'owner' }> {
  return { kind: 'owner', type: 'subscription', name };
}

/** Throws INVALID_INPUT where no subscription can have just these. */
export function checkPublicationList(publications: readonly string[]): void {
  publicationList(askedFor(publications));
}

/** Those that a worker would have to ask the publisher for by name. @param field where the request names them */
export function askedFor(publications: readonly string[], field = 'publications'): readonly string[] {
  const errors = publications.flatMap((name, index) =>
    canBeAskedFor(name) ? [] : [{ pointer: `#/${field}/${index}`, detail: 'holds a backslash' }],
  );
  if (errors.length === 0) return publications;
  const detail = 'a publication whose name holds a backslash cannot be subscribed to';
  throw refusal('name-can-be-asked-for', 'INVALID_INPUT', detail, errors);
}

/** Workers write a name with a backslash as E'…', which START_REPLICATION does not know (seen with 18). */
export function canBeAskedFor(publication: string): boolean {
  return !publication.includes('\\');
}

function publicationList(publications: readonly string[]): string {
  const twice = new Set(publications).size < publications.length;
  if (publications.length === 0 || twice) {
    const detail = twice ? 'a publication is listed twice' : 'at least one publication is needed';
    throw refusal('publications-listed', 'INVALID_INPUT', detail, [{ pointer: '#/publications', detail }]);
  }
  publications.forEach((publication, index) => requireIdentifier(publication, `/publications/${index}`));
  return publications.map((publication) => identifier(publication)).join(', ');
}
