import { identifier } from '../../postgres/quoting.js';
import { tableId, type TableName } from '../at-rest/table-shape.js';

/** A table of the subscriber as our publications see it. */
export interface SubscribedTable extends TableName {
  partitioned: boolean;
  /** It has a replica identity, so publishing its UPDATEs does not make them fail. */
  usable: boolean;
}

/** One of our publications on a subscriber: exactly these tables, never all. */
export interface OwnPublication {
  name: string;
  tables: SubscribedTable[];
  publish: string;
}

/**
 * What our reader of a subscriber publishes there: tables with a replica identity with every change, the others with
 * inserts only, because publishing their UPDATEs and DELETEs would make apply fail.
 */
export function ownPublications(readerId: string, tables: readonly SubscribedTable[]): OwnPublication[] {
  const all: OwnPublication = {
    name: ownPublicationNames(readerId)[0],
    tables: tables.filter(({ usable }) => usable),
    publish: 'insert, update, delete, truncate',
  };
  const inserts: OwnPublication = {
    name: ownPublicationNames(readerId)[1],
    tables: tables.filter(({ usable }) => !usable),
    publish: 'insert, truncate',
  };
  // A stream needs at least one publication, also while the subscription has no tables.
  return inserts.tables.length > 0 ? [all, inserts] : [all];
}

export function ownPublicationNames(readerId: string): [all: string, insertsOnly: string] {
  return [`lockstep_s_${readerId}`, `lockstep_s_${readerId}_inserts`];
}

export function createOwnPublication({ name, tables, publish }: OwnPublication): string {
  const list = tables.length > 0 ? ` for table ${tableList(tables)}` : '';
  return `create publication ${identifier(name)}${list} with (publish = '${publish}', publish_via_partition_root = true)`;
}

export function setOwnPublicationTables({ name, tables }: OwnPublication): string {
  return `alter publication ${identifier(name)} set table ${tableList(tables)}`;
}

export function dropOwnPublications(readerId: string): string {
  return `drop publication if exists ${ownPublicationNames(readerId)
    .map((name) => identifier(name))
    .join(', ')}`;
}

function tableList(tables: readonly SubscribedTable[]): string {
  return tables.map((table) => `${table.partitioned ? '' : 'only '}${tableId(table)}`).join(', ');
}
