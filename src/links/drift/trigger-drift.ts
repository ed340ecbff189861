import type { TriggerRule } from '../../postgres/catalog/table-rules.js';
import type { TableName } from '../../postgres/catalog/tables.js';
import * as ddl from '../../postgres/ddl/table-change.ddl.js';
import { type Finding, type Impact, onSubscriber, PHASES, type TablePair } from './finding.js';

/** Bits of pg_trigger.tgtype. */
const ROW = 1;
const BEFORE = 2;
const EVENTS: readonly [number, string][] = [
  [4, 'INSERT'],
  [16, 'UPDATE'],
  [8, 'DELETE'],
  [32, 'TRUNCATE'],
];

/** Triggers of the subscriber that fire while changes are applied, whatever the publisher has. */
export function triggerDrift({ publisher, subscriber }: TablePair): Finding[] {
  const groups = new Map<string, TriggerRule[]>();
  for (const trigger of subscriber.rules.triggers) {
    const { name, foreignKey, enabled, function: called } = trigger;
    const key = JSON.stringify([foreignKey === null ? [name, called] : foreignKey, enabled]);
    groups.set(key, [...(groups.get(key) ?? []), trigger]);
  }
  return [...groups.values()].map((triggers) => {
    const first = triggers[0]!;
    return {
      ...{ kind: 'trigger', table: nameOf(publisher), column: null, side: 'subscriber', impact: impactOf(first) },
      detail: detailOf(first),
      advice: adviceOf(first),
      mends: onSubscriber(
        PHASES.optional,
        ...triggers.map(({ on, name, enabled }) =>
          enabled === 'R' ? ddl.disableTrigger(on, name) : ddl.fireForOwnWrites(on, name),
        ),
      ),
    };
  });
}

function impactOf({ constraint, foreignKey }: TriggerRule): Impact {
  return constraint || foreignKey !== null ? 'may-stop-apply' : 'may-differ';
}

function detailOf(trigger: TriggerRule): string {
  const { name, type, enabled, function: called, foreignKey, referencing } = trigger;
  const mode = enabled === 'A' ? 'ALWAYS' : 'REPLICA';
  if (foreignKey !== null) {
    const does = referencing ? 'refuses rows whose referenced row is not there yet' : 'acts on rows that reference it';
    return `the foreign key ${quote(foreignKey)} is enabled ${mode} on the subscriber: it ${does} while changes are applied`;
  }
  const events = EVENTS.filter(([bit]) => (type & bit) !== 0).map(([, event]) => event);
  const when = `${(type & BEFORE) !== 0 ? 'BEFORE' : 'AFTER'} ${events.join(' OR ')}`;
  return `the trigger ${quote(name)} (${when}, ${called}) is enabled ${mode} on the subscriber: ${effectOf(trigger, events)}`;
}

function effectOf({ type }: TriggerRule, events: readonly string[]): string {
  if ((type & ROW) === 0) {
    return events.includes('TRUNCATE')
      ? 'it fires when a TRUNCATE is applied, and when the table is copied'
      : 'it fires when the table is copied, and not for single changes';
  }
  if ((type & BEFORE) !== 0) return 'it may change, leave out or refuse rows that are applied';
  return 'it may refuse what is applied, and what it writes comes beside what the publisher sends';
}

function adviceOf({ foreignKey }: TriggerRule): string {
  if (foreignKey !== null)
    return 'By default foreign keys are not looked at in apply. The statements need a superuser.';
  return 'Keep it if it is meant to act on what is applied: then the tables that it writes should be the subscriber’s own.';
}

function nameOf({ schema, name }: TableName): TableName {
  return { schema, name };
}

function quote(name: string): string {
  return JSON.stringify(name);
}
