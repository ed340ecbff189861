import { type Place, plan } from '../../changes/change.js';
import type { PlanDto } from '../../changes/plan.dto.js';
import { dropReplicationSlot } from '../../postgres/ddl/replication-slot.ddl.js';
import { statement } from '../../postgres/ddl/statement.js';
import { tableId } from '../at-rest/table-shape.js';
import { publisherSlotName } from '../link/link-objects.js';
import { createSlotStatement } from '../link/link-plan.js';
import type { ResyncSubject } from './resync-check.js';
import { copyInSql, copyOutSql, emptySql } from './resync-sql.js';

/** What copying a table afresh runs, on both servers. */
export function planResync(
  publisher: Place,
  subscriber: Place,
  { shape, quiet }: Pick<ResyncSubject, 'shape' | 'quiet'>,
): PlanDto {
  const slot = publisherSlotName('…');
  const id = tableId(shape);
  const hold = `SHARE ROW EXCLUSIVE on ${id} until the commit: it is read, not written; applying waits at the next transaction that touches it`;
  const held = [
    `lock table ${id} in share row exclusive mode`,
    ...(quiet ? ['set local session_replication_role = replica'] : []),
    emptySql(shape),
    copyInSql(shape),
  ];
  return {
    does:
      `Copies about ${Math.round(shape.estimatedRows)} rows in one transaction, with the changes that were applied ` +
      'since the copied snapshot. Its old rows are left to VACUUM. Where the position does not tell what was applied, the apply worker is ended once; it starts again by itself.',
    statements: [
      ...plan(publisher, [createSlotStatement(slot)]),
      ...plan(publisher, [statement(copyOutSql(shape), `ACCESS SHARE on ${id}`)]),
      ...plan(
        subscriber,
        held.map((sql) => statement(sql, hold)),
      ),
      ...plan(publisher, dropReplicationSlot(slot)),
    ],
  };
}
