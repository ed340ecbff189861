import { readTablesHidingRows, type TableHidingRows } from '../postgres/catalog/hidden-rows.js';
import { readMissingPublications, readPublicationTables } from '../postgres/catalog/publication-tables.js';
import { readPublications } from '../postgres/catalog/publications.js';
import { type PublishedDifferently, readPublishedDifferently } from '../postgres/catalog/published-differently.js';
import { COMBINATION_RULES, refusal } from '../postgres/ddl/options/combination-rules.js';
import type { SubscriptionOptions } from '../postgres/ddl/subscription-options.js';
import { identifier } from '../postgres/quoting.js';
import type { Session } from '../postgres/session.js';
import { Problem } from '../problems/problem.js';
import { heedsConnectionOptions } from '../postgres/catalog/minor-advisories.js';
import { slotNameProblem } from '../shared/identifier.js';
import { PG15 } from '../shared/server-version.js';
import { type CopyEstimate, type RefreshPreview, unknownPreview } from './refresh-preview.js';
import type { SubscriptionWarning } from './subscription-warnings.js';

interface TableName {
  schema: string;
  name: string;
}

/** What a publisher has for a subscription that is about to be made. */
export interface Offer {
  versionNum: number;
  tables: TableName[];
  /** Publications that it does not have. */
  missing: string[];
  /** Those of which it publishes some rows or columns only. */
  narrowed: TableName[];
  /** Those in which row security holds the login by which the subscriber connects. */
  hiding: TableHidingRows[];
  /** Those that several of its publications send, and not alike. */
  differing: PublishedDifferently;
  /** Of their first copy, where it was asked for and could be read. */
  copy?: CopyEstimate | null;
}

const MOST_NAMED = 100;

/** Throws PREREQUISITE_FAILED for publications that are not there: CREATE SUBSCRIPTION only warns, and applying fails. */
export async function requirePublications(publisher: Session, publications: readonly string[]): Promise<void> {
  const missing = await readMissingPublications(publisher, publications);
  if (missing.length > 0) {
    const detail = `the publisher has no publication ${missing.map((name) => JSON.stringify(name)).join(', ')}`;
    throw new Problem('PREREQUISITE_FAILED', detail, {
      hint: 'Create the publications first.',
      errors: missing.map((name) => ({
        pointer: `#/publications/${publications.indexOf(name)}`,
        detail: 'does not exist on the publisher',
      })),
    });
  }
}

/** @param login by which the subscriber connects; null: the session's; undefined: not known, so nothing hides rows from it */
export async function readOffer(
  publisher: Session,
  publications: readonly string[],
  subscriberVersion: number,
  login: string | null | undefined,
): Promise<Offer> {
  const { tables, missing } = await readPublicationTables(publisher, publications, subscriberVersion);
  const narrowed: TableName[] = [];
  for (const publication of subscriberVersion < PG15 ? publications : []) {
    const [definition] = await readPublications(publisher, publication);
    const listed = definition === undefined || definition.target.kind === 'allTables' ? [] : definition.target.tables;
    narrowed.push(...listed.filter(({ columns, where }) => columns !== null || where !== null));
  }
  const hiding = login === undefined ? [] : await readTablesHidingRows(publisher, tables, login);
  const differing = await readPublishedDifferently(publisher, publications);
  return { versionNum: publisher.versionNum, tables, missing, narrowed, hiding, differing };
}

/** What should be known of it; nothing is refused for it. `complete`: as for `hidingWarnings`. */
export function offerWarnings(
  offer: Offer,
  subscriberVersion: number,
  options: Pick<SubscriptionOptions, 'copyData'> & { complete: boolean },
): SubscriptionWarning[] {
  return [
    ...missingWarnings(offer),
    ...copyWarnings(offer.narrowed, options),
    ...hidingWarnings(offer, subscriberVersion, options),
    ...filterWarnings(offer.differing),
  ];
}

function missingWarnings({ missing }: Offer): SubscriptionWarning[] {
  if (missing.length === 0) return [];
  const names = missing.map((name) => JSON.stringify(name)).join(', ');
  const detail = `the publisher has no publication ${names}: applying fails until it is there`;
  return [{ rule: 'publications-exist', option: null, detail }];
}

/** Throws PREREQUISITE_FAILED for tables that the subscriber lacks: it takes up all of its publications or none. */
export function requireTables(tables: readonly TableName[], existing: readonly TableName[]): void {
  const here = new Set(existing.map(({ schema, name }) => identifier(schema, name)));
  const absent = tables.filter(({ schema, name }) => !here.has(identifier(schema, name)));
  if (absent.length === 0) return;
  const more = absent.length > 1 ? ` and ${absent.length - 1} more that are published` : ', which is published';
  const detail = `the subscriber has no table ${identifier(absent[0]!.schema, absent[0]!.name)}${more}`;
  const shown = absent.slice(0, MOST_NAMED).map(({ schema, name }) => ({ schema, name }));
  throw refusal('tables-exist', 'PREREQUISITE_FAILED', detail, [], { extra: { absent: shown } });
}

/** The tables of a subscription that is made; all of them are on the subscriber. */
export function takenUp(
  offer: Offer | undefined,
  unknown = 'the publisher is not a registered server',
): RefreshPreview {
  if (offer === undefined) return unknownPreview(unknown);
  const { tables, copy = null } = offer;
  return { added: tables, removed: [], absent: [], copy, reason: null };
}

/** Throws PREREQUISITE_FAILED for tables that the publisher refuses to send: applying would fail for good. */
export function requireSameColumns({ columns }: Pick<PublishedDifferently, 'columns'>): void {
  if (columns.length > 0) throw otherColumnsRefused(columns);
}

export function otherColumnsRefused(columns: readonly TableName[]): Problem {
  const detail = otherColumns(columns);
  return refusal('same-columns-everywhere', 'PREREQUISITE_FAILED', detail, [{ pointer: '#/publications', detail }], {
    extra: { tables: columns.slice(0, MOST_NAMED) },
  });
}

/** The same of a subscription that has them already. */
export function columnWarnings({ columns }: Pick<PublishedDifferently, 'columns'>): SubscriptionWarning[] {
  if (columns.length === 0) return [];
  return [{ rule: 'same-columns-everywhere', option: null, detail: otherColumns(columns) }];
}

function otherColumns(columns: readonly TableName[]): string {
  const [first] = columns as [TableName];
  const more = columns.length > 1 ? ` and ${columns.length - 1} more` : '';
  return `publications of the subscription do not send the same columns of ${identifier(first.schema, first.name)}${more}: the publisher refuses to send it then`;
}

/** Whoever narrows a table in one publication may not know that another lets more of it through. */
export function filterWarnings({ filters }: PublishedDifferently): SubscriptionWarning[] {
  const [first] = filters;
  if (first === undefined) return [];
  const more = filters.length > 1 ? ` and ${filters.length - 1} more` : '';
  const detail = `publications of the subscription have other row filters for ${identifier(first.schema, first.name)}${more}: a row comes where any of them, or one without a filter, lets it through. ${COMBINATION_RULES['filters-are-ored'].instead}`;
  return [{ rule: 'filters-are-ored', option: null, detail }];
}

/**
 * A first copy that row security cuts: it fails where the subscriber passes on that row_security is off, as
 * `publisherConninfo` asks for, and lacks rows without an error where it does not. `complete`: the connection string asks
 * for it.
 */
export function hidingWarnings(
  { hiding }: Pick<Offer, 'hiding'>,
  subscriberVersion: number,
  { copyData, complete = true }: Pick<SubscriptionOptions, 'copyData'> & { complete?: boolean },
): SubscriptionWarning[] {
  const [first] = hiding;
  if (first === undefined || copyData === false) return [];
  const more = hiding.length > 1 ? ` and ${hiding.length - 1} more` : '';
  const login = identifier(first.login);
  const what =
    complete && heedsConnectionOptions(subscriberVersion)
      ? 'the first copy fails'
      : 'the first copy lacks what policies hide, without an error';
  const detail = `row security of the publisher holds ${login}, as whom the subscription connects, in ${identifier(first.schema, first.name)}${more}: ${what}. Mend it there with alter role ${login} bypassrls; or let it own the table, where row security is not forced.`;
  return [{ rule: 'copy-sees-all-rows', option: 'copyData', detail }];
}

/** Copying from a newer publisher, a subscriber below 15 does not know of row filters and column lists. */
function copyWarnings(narrowed: readonly TableName[], { copyData }: SubscriptionOptions): SubscriptionWarning[] {
  const [first] = narrowed;
  if (first === undefined || copyData === false) return [];
  const more = narrowed.length > 1 ? ` and ${narrowed.length - 1} more` : '';
  const detail = `every row and column of ${identifier(first.schema, first.name)}${more} is copied: below 15 a subscriber heeds row filters and column lists for later changes only. ${COMBINATION_RULES['copy-heeds-filters'].instead}`;
  return [{ rule: 'copy-heeds-filters', option: 'copyData', detail }];
}

/** A subscription without a slot name of its own takes its own name, which slots allow less for. */
export function requireSlotName({ name, options }: { name: string; options?: SubscriptionOptions }): string {
  const slotName = options?.slotName ?? name;
  const problem = slotNameProblem(slotName);
  if (problem === null) return slotName;
  throw inputError('/options/slotName', `the slot is named after the subscription, but a slot name ${problem}`, {
    hint: 'Give the slot a name of its own: options.slotName.',
  });
}

export function inputError(pointer: string, detail: string, options: { hint?: string } = {}): Problem {
  return new Problem('INVALID_INPUT', detail, { ...options, errors: [{ pointer: `#${pointer}`, detail }] });
}
