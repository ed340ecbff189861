import type { SecurityRule } from '../../postgres/catalog/table-rules.js';
import { heedsConnectionOptions } from '../../postgres/catalog/minor-advisories.js';
import type { TableName } from '../../postgres/catalog/tables.js';
import * as ddl from '../../postgres/ddl/table-change.ddl.js';
import { PG15, PG16 } from '../../shared/server-version.js';
import { type Finding, onPublisher, onSubscriber, PHASES, type TablePair } from './finding.js';

const OFTEN = 'The role then bypasses row security everywhere, and only a superuser may say so.';

export function securityDrift(pair: TablePair): Finding[] {
  return [...copied(pair), ...applied(pair)];
}

/** Policies of the publisher hide rows from whoever copies them, without a word; changes are sent whoever reads them. */
function copied({ publisher, versions, copies }: TablePair): Finding[] {
  const { login } = copies;
  const complete = copies.complete && heedsConnectionOptions(versions.subscriber);
  // What a copy reads is the table that is sent; policies of its partitions are for those who name these.
  const rule = publisher.rules.security.find(({ on }) => on.schema === publisher.schema && on.name === publisher.name);
  if (rule === undefined || (login !== null && !rule.held.includes(login))) return [];
  const about = { kind: 'row-security' as const, table: nameOf(publisher), column: null, side: 'publisher' as const };
  const secured = `row security is ${rule.forced ? 'forced' : 'enabled'} on the publisher’s table`;
  if (login === null) {
    const detail = `${secured}, and the connection string does not say as whom the subscription copies rows: what policies hide is left out`;
    const advice = 'Name the user in the connection string.';
    return [{ ...about, impact: 'unknown', detail, advice, mends: [] }];
  }
  const what = complete
    ? 'no first copy of it can be had, as row_security is off'
    : 'a first copy leaves out the rows that policies hide, without an error, and changes of these are sent all the same';
  const after = complete
    ? ''
    : ' Rows that a copy has left out do not come by themselves: verify the table, or resync it.';
  return [
    {
      ...{ ...about, impact: complete ? 'may-stop-apply' : 'may-differ' },
      detail: `${secured}, and holds ${quote(login)}, as whom the subscription connects: ${what}`,
      advice: `${OFTEN} Or let it own the table, where row security is not forced.${after}`,
      mends: onPublisher(ownsForced(rule, login) ? ddl.noForceRowSecurity(rule.on) : ddl.bypassRowSecurity(login)).map(
        (mend) => ({ ...mend, phase: PHASES.optional }),
      ),
    },
  ];
}

/**
 * Row security of the subscriber that holds whoever applies: the worker then refuses the table, whatever its policies
 * would let pass. Before 15 it does not look at it.
 */
function applied(pair: TablePair): Finding[] {
  const { publisher, subscriber, versions, applies } = pair;
  if (versions.subscriber < PG15) return [];
  const asTableOwner = versions.subscriber >= PG16 && applies.runAsOwner !== true;
  return subscriber.rules.security.flatMap((rule): Finding[] => {
    const role = asTableOwner ? rule.tableOwner : applies.owner;
    if (!rule.held.includes(role)) return [];
    const who = asTableOwner ? `as the table’s owner ${quote(role)}` : `as the subscription’s owner ${quote(role)}`;
    return [
      {
        ...{ kind: 'row-security', table: nameOf(publisher), column: null, side: 'subscriber' },
        // A partitioned table itself is only truncated and copied into.
        impact: rule.holdsRows ? 'stops-apply' : 'may-stop-apply',
        detail: `row security is ${rule.forced ? 'forced' : 'enabled'} on ${rule.on.schema}.${rule.on.name} of the subscriber, and changes are applied ${who}, who does not bypass it: ${rule.holdsRows ? 'none' : 'neither TRUNCATE nor the first copy'} can be`,
        advice: adviceOf(rule, role, asTableOwner),
        mends: onSubscriber(
          PHASES.optional,
          ownsForced(rule, role) ? ddl.noForceRowSecurity(rule.on) : ddl.bypassRowSecurity(role),
        ),
      },
    ];
  });
}

/** Only FORCE holds an owner. */
function ownsForced({ forced, owner }: SecurityRule, role: string): boolean {
  return forced && owner === role;
}

function adviceOf(rule: SecurityRule, role: string, asTableOwner: boolean): string {
  if (ownsForced(rule, role)) {
    return `Then the policies no longer hold ${quote(role)} in its own sessions either. Or give that role BYPASSRLS, or let another role own the table.`;
  }
  return asTableOwner
    ? `${OFTEN} Or let one role own the table and its partitions.`
    : `${OFTEN} Or let it own the table; from 16 on changes are applied as the table’s owner with run_as_owner = false.`;
}

function nameOf({ schema, name }: TableName): TableName {
  return { schema, name };
}

function quote(name: string): string {
  return JSON.stringify(name);
}
