import {
  type AclItem,
  DATABASE_ACL,
  DATABASE_ACL_ITEMS,
  ROLE_STATE,
  type RoleStateRow,
} from '../../postgres/catalog/fence.sql.js';
import { readOnlyEntry } from '../../postgres/ddl/fence.ddl.js';
import type { Session } from '../../postgres/session.js';
import { present, type RestoreTo, sameItems, wantedLogin } from './bar.js';
import type { FenceRecord } from './fence-record.js';

/** Something that is not as the record has it. */
export interface RecordDifference {
  /** Whether the fence changes it; anything else was changed by somebody else, and is left as it is. */
  ours: boolean;
  object: string;
  recorded: string;
  observed: string;
}

/**
 * Reads what the fence touches and names everything that is not as recorded; an empty list is the proof that the
 * source is as it was. ACLs are compared by what they grant: once an ACL was written, PostgreSQL never goes back to
 * storing NULL, so the default spelt out counts as the default.
 */
export async function compareRecord(
  session: Session,
  record: FenceRecord,
  to: RestoreTo = 'recorded',
): Promise<RecordDifference[]> {
  const differences: RecordDifference[] = [];
  const note = (ours: boolean, object: string, recorded: string, observed: string) => {
    if (recorded !== observed) differences.push({ ours, object, recorded, observed });
  };
  const states = await session.rows<RoleStateRow>(ROLE_STATE, [record.roles.map(({ oid }) => oid)]);
  for (const role of record.roles) {
    const state = states.find(({ oid }) => oid === role.oid);
    if (state === undefined) {
      note(false, `role ${role.name}`, 'exists', 'was dropped');
      continue;
    }
    const canLogin = wantedLogin(role, state, to);
    note(true, `login of ${state.name}`, canLogin ? 'login' : 'nologin', state.canLogin ? 'login' : 'nologin');
    note(
      true,
      `default_transaction_read_only of ${state.name} in ${record.database.name}`,
      readOnlyEntry(role.settings) ?? 'not set',
      readOnlyEntry(state.settings) ?? 'not set',
    );
  }
  if (record.roles.some(({ method }) => method === 'revoke-connect')) {
    const { owner } = await session.row<{ owner: number }>(DATABASE_ACL);
    const items = await session.rows<AclItem>(DATABASE_ACL_ITEMS);
    const recorded = await present(session, record, owner, record.acl);
    const connect = (acl: AclItem[]) => acl.filter(({ privilege }) => privilege === 'CONNECT');
    if (!sameItems(recorded, items)) {
      const ours = !sameItems(connect(recorded), connect(items));
      note(ours, `ACL of database ${record.database.name}`, describe(recorded), describe(items));
    }
  }
  return differences;
}

function describe(items: AclItem[]): string {
  return items
    .map(({ grantor, grantee, privilege, grantable }) => {
      return `${privilege}${grantable ? ' with grant option' : ''} to ${grantee === 0 ? 'PUBLIC' : `role ${grantee}`} by role ${grantor}`;
    })
    .join(', ');
}
