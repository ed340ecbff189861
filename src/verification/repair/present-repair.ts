import { type Place, plan, type PlannedStatement } from '../../changes/change.js';
import { statement } from '../../postgres/ddl/statement.js';
import { tableId } from '../at-rest/table-shape.js';
import { createOnPublisher, createOnSubscriber, dropOnPublisher, dropOnSubscriber } from '../link/link-plan.js';
import { REPAIR_SETTINGS } from './repair-statement.js';
import type { RepairDto, RepairedDifferenceDto, RepairPlanDto } from './repair.dto.js';
import type { RepairRow } from './repair.repository.js';
import type { PlannedRepair, RepairView } from './repair.service.js';

export function presentRepair({ counts, facts, verdict, reason, verifiedLsn, ...repair }: RepairView): RepairDto {
  const { repaired, gone, changed, pending } = counts;
  return {
    ...{ id: repair.id, verification: repair.verification, state: repair.state, triggers: repair.triggers },
    counts: {
      ...{ repaired, gone, changed, notRepaired: counts['not-repaired'] },
      ...{ notRepairable: counts['not-repairable'], pending },
    },
    ...{ remaining: repair.remaining, marked: facts?.marks ?? null, warnings: facts?.warnings ?? [] },
    check: verdict === null ? null : { verdict, reason, verifiedLsn },
  };
}

export function presentRow({ position, schema, table, kind, key, outcome, reason }: RepairRow): RepairedDifferenceDto {
  return { id: position, schema, table, kind, key, outcome, reason };
}

/** Statements of rows hold values, so they are shown to the caller and to nobody else: they go into no audit event. */
export function presentPlan({ verification, repair, rows, remaining }: PlannedRepair): RepairPlanDto {
  const publisher: Place = { server: verification.publisherServer, database: verification.publisherDatabase };
  const subscriber: Place = { server: verification.subscriberServer, database: verification.subscriberDatabase };
  const statements: PlannedStatement[] = [
    ...plan(publisher, createOnPublisher('…')),
    ...plan(subscriber, createOnSubscriber('…', [])),
  ];
  let table = '';
  for (const row of rows) {
    const id = tableId({ schema: row.schema, name: row.table });
    const held = `SHARE ROW EXCLUSIVE on ${id} until the commit, for some tenths of a second: it is read, not written; applying waits at the next transaction that touches it`;
    if (row.outcome !== 'planned' || row.sql === null) continue;
    if (id !== table) {
      table = id;
      const begun = [
        `lock table ${id} in share row exclusive mode`,
        ...(repair.facts?.quiet ? ['set local session_replication_role = replica'] : []),
      ];
      statements.push(
        ...plan(
          subscriber,
          begun.map((sql) => statement(sql, held)),
        ),
      );
    }
    for (const sql of row.sql) statements.push({ ...subscriber, sql, transactional: true, lock: held });
  }
  statements.push(...plan(publisher, dropOnPublisher('…')), ...plan(subscriber, dropOnSubscriber('…')));
  return {
    does:
      'Judges every row once more while its table is held, at most 100 rows in one transaction, writes those that still ' +
      'differ, and compares them again afterwards. What is shown are the rows as they are now. A row that is changed again ' +
      'and again is judged with the apply worker ended once; it starts again by itself.',
    statements,
    differences: rows.map(presentRow),
    ...{ remaining, warnings: repair.facts?.warnings ?? [] },
  };
}

const STATEMENTS_PER_TRANSACTION = 200;

/** The same as a script, to be read, or run on the subscriber by whoever knows what the comment on top says. */
export function presentScript({ verification, repair, rows, remaining }: PlannedRepair): string {
  const { subscriberServer, subscriberDatabase, publisherServer, publisherDatabase, subscription } = verification;
  const planned = rows.filter(({ outcome }) => outcome === 'planned');
  const others = rows.filter(({ outcome }) => outcome !== 'planned' && outcome !== 'gone');
  const gone = rows.length - planned.length - others.length;
  const about = [
    `Makes rows of ${subscriberServer}/${subscriberDatabase} what those of ${publisherServer}/${publisherDatabase} are (subscription ${subscription}).`,
    `Found by verification ${verification.id}; looked at again ${new Date().toISOString()}: ${planned.length} differences are mended here,`,
    `${gone} were gone, ${others.length} are not mended (see the end), ${remaining} were counted but never listed.`,
    'An UPDATE or DELETE hits nothing once its row was written by anybody. An INSERT cannot know of a change of its row that',
    'was applied in between without effect: run this soon, and while nobody writes these rows on the publisher. The',
    'repair of the API judges every row again while its table is held, and has no such limit.',
    ...(repair.facts?.warnings ?? []),
  ];
  const lines = [...about.map(comment), ...REPAIR_SETTINGS.map((sql) => `${sql};`)];
  const statements = planned.flatMap(({ sql }) => sql ?? []);
  for (let from = 0; from < statements.length; from += STATEMENTS_PER_TRANSACTION) {
    lines.push('begin;', "set local lock_timeout = '5s';");
    if (repair.facts?.quiet) lines.push('set local session_replication_role = replica;');
    lines.push(...statements.slice(from, from + STATEMENTS_PER_TRANSACTION).map((sql) => `${sql};`), 'commit;');
  }
  for (const { schema, table, kind, key, outcome, reason } of others) {
    lines.push(comment(`${outcome}: ${kind} in ${schema}.${table}, ${JSON.stringify(key)}: ${reason}`));
  }
  return `${lines.join('\n')}\n`;
}

/** Names and reasons may hold line ends, after which text would be taken for a statement. */
function comment(text: string): string {
  return `-- ${text.replaceAll(/\s+/g, ' ')}`;
}
