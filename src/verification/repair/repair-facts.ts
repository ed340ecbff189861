import { REPAIRED_TABLES, REPAIRER, SUBSCRIBED_AMONG } from '../../postgres/catalog/repair.sql.js';
import { readSubscriptions } from '../../postgres/catalog/subscriptions.js';
import { variantFor } from '../../postgres/catalog/variant.js';
import { identifier } from '../../postgres/quoting.js';
import type { Session } from '../../postgres/session.js';
import { Problem } from '../../problems/problem.js';
import { readSubscription } from '../at-rest/read-shapes.js';
import { tableId, type TableName } from '../at-rest/table-shape.js';

/** Whether ordinary triggers, rules and foreign keys of the subscriber's tables take part in a repair. */
export type TriggerMode = 'quiet' | 'fire';

export interface RepairedTable extends TableName {
  missingPrivileges: string[];
  /** Other subscriptions that write it. */
  subscriptions: string[];
  /** The subscriber's publications that send it on. */
  publications: string[];
  /** It has triggers, rules or foreign keys that applying does not fire. */
  fires: boolean;
  /** Triggers and rules that applying fires as well. */
  firesAlways: string[];
  /** Foreign keys by which a DELETE or UPDATE goes on to other rows. */
  cascades: string[];
  /** Tables its foreign keys refer to. */
  parents: TableName[];
}

/** How the tables of a repair are written. */
export interface RepairFacts {
  /** Parents before children, as far as there is such an order. */
  tables: RepairedTable[];
  /** By quoted name: why no row of the table is written. */
  refused: Map<string, string>;
  /** Triggers or foreign keys are kept from taking part: `session_replication_role = replica` is set. */
  quiet: boolean;
  /** They take part, as was asked for. */
  fires: boolean;
  /** The transactions get a replication origin of their own. */
  marks: boolean;
  warnings: string[];
}

const NOTHING: Omit<RepairedTable, keyof TableName> = {
  ...{ missingPrivileges: [], subscriptions: [], publications: [], fires: false, firesAlways: [] },
  ...{ cascades: [], parents: [] },
};

interface Repairer extends Record<string, unknown> {
  login: string;
  mayQuiet: boolean;
  mayMark: boolean;
}

/**
 * What stands in the way of a repair, and what is to be known of it. Rejects with PREREQUISITE_FAILED where the
 * subscription does not apply, and with SERVER_PRIVILEGE_MISSING where triggers would fire and nobody asked for that.
 */
export async function readRepairFacts(
  publisher: Session,
  subscriber: Session,
  name: string,
  wanted: readonly TableName[],
  triggers: TriggerMode,
): Promise<RepairFacts> {
  const subscription = await readSubscription(subscriber, name);
  if (!subscription.enabled || subscription.slotName === null) {
    throw new Problem('PREREQUISITE_FAILED', `the subscription "${name}" does not apply, so nothing can be repaired`, {
      hint: 'Enable it first: what is written is bound to what has been applied.',
    });
  }
  const [detail] = await readSubscriptions(subscriber, name);
  if (detail?.twoPhaseState === 'enabled') {
    throw new Problem('PREREQUISITE_FAILED', `the subscription "${name}" has two_phase enabled`, {
      hint: 'A table in prepared transactions cannot be held. Where both sides are 18 or newer, disable the subscription, set twoPhase to false, enable it, and try again.',
    });
  }
  const names = [wanted.map((table) => table.schema), wanted.map((table) => table.name)];
  const found = await subscriber.rows<RepairedTable & Record<string, unknown>>(
    variantFor(REPAIRED_TABLES, subscriber.versionNum),
    [...names, subscription.oid],
  );
  const repairer = await subscriber.row<Repairer>(variantFor(REPAIRER, subscriber.versionNum));
  const fires = found.some((table) => table.fires);
  const quiet = triggers === 'quiet' && repairer.mayQuiet;
  if (triggers === 'quiet' && fires && !quiet) throw mayNotQuiet(repairer.login, subscriber.versionNum);

  const back = await publisher.rows<TableName & { subscription: string; origin: string }>(
    variantFor(SUBSCRIBED_AMONG, publisher.versionNum),
    names,
  );
  const facts: RepairFacts = {
    ...{ tables: [], refused: new Map(), quiet, fires: fires && !quiet },
    ...{ marks: repairer.mayMark, warnings: [] },
  };
  const { ordered, cycle } = parentsFirst(found);
  facts.tables = [...ordered];
  for (const table of wanted.filter((each) => !found.some((other) => tableId(other) === tableId(each)))) {
    facts.tables.push({ ...table, ...NOTHING });
    facts.refused.set(tableId(table), 'the table does not exist on the subscriber');
  }
  for (const table of ordered) judgeTable(table, facts, back, repairer.login);
  if (cycle && facts.fires) {
    facts.warnings.push(
      'Foreign keys of the tables form a circle: a row may be refused unless they are DEFERRABLE, and say so.',
    );
  }
  if (facts.fires) {
    facts.warnings.push('Ordinary triggers, rules and foreign keys of the tables take part, as was asked for.');
  }
  return facts;
}

function judgeTable(
  table: RepairedTable,
  facts: RepairFacts,
  back: readonly (TableName & { subscription: string; origin: string })[],
  login: string,
): void {
  const id = tableId(table);
  const { missingPrivileges, subscriptions, publications, firesAlways } = table;
  if (missingPrivileges.length > 0) {
    const privileges = missingPrivileges.join(', ').toLowerCase();
    facts.refused.set(
      id,
      `the login may not write the table: grant ${privileges} on table ${id} to ${identifier(login)}`,
    );
    return;
  }
  if (subscriptions.length > 0) {
    facts.refused.set(id, `other subscriptions write the table too: ${subscriptions.join(', ')}`);
    return;
  }
  if (firesAlways.length > 0) {
    facts.warnings.push(`${id}: fire on a repair as they do on applying: ${firesAlways.join(', ')}`);
  }
  if (publications.length === 0) return;
  const returning = back.filter((each) => tableId(each) === id);
  // What was written here and has not reached the publisher yet would be overwritten, and the sides differ for good.
  if (returning.length > 0) {
    const names = returning.map(({ subscription }) => subscription).join(', ');
    facts.refused.set(
      id,
      `the publisher subscribes to the table itself (${names}): what is written here may be right, and still on its way there`,
    );
    return;
  }
  facts.warnings.push(`${id}: what is written is sent on by ${publications.join(', ')}`);
}

function mayNotQuiet(login: string, versionNum: number): Problem {
  return new Problem('SERVER_PRIVILEGE_MISSING', 'triggers or foreign keys of the tables would fire', {
    hint:
      (versionNum >= 150000
        ? `As superuser on the subscriber: grant set on parameter session_replication_role to ${identifier(login)};`
        : 'Below 15 only superusers keep triggers from firing.') + ' Or let them fire: "triggers": "fire".',
  });
}

/** Tables before those that refer to them; what is in a circle comes last, in the order it came. */
export function parentsFirst<Table extends TableName & { parents: TableName[] }>(
  tables: readonly Table[],
): { ordered: Table[]; cycle: boolean } {
  const left = new Map(tables.map((table) => [tableId(table), table]));
  const ordered: Table[] = [];
  for (;;) {
    const ready = [...left].filter(([id, { parents }]) =>
      parents.every((parent) => tableId(parent) === id || !left.has(tableId(parent))),
    );
    if (ready.length === 0) break;
    for (const [id, table] of ready) {
      ordered.push(table);
      left.delete(id);
    }
  }
  return { ordered: [...ordered, ...left.values()], cycle: left.size > 0 };
}
