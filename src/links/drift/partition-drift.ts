import type { TableDefinition } from '../../postgres/catalog/table-definitions.js';
import type { PartitionRule } from '../../postgres/catalog/table-rules.js';
import type { TableName } from '../../postgres/catalog/tables.js';
import { identifier } from '../../postgres/quoting.js';
import * as ddl from '../../postgres/ddl/table-change.ddl.js';
import type { Statement } from '../../postgres/ddl/statement.js';
import { type Finding, onSubscriber, PHASES, type TablePair } from './finding.js';
import { notTold, sameText } from './held.js';
import { type Comparison, comparisonOf, coverage, coversAll } from './partition-bounds.js';

type OwnPartition = PartitionRule & { parent: TableName; parentKey: string; bound: string };

interface Node extends PartitionRule {
  children: Node[];
}

/** The table itself, where it is a partition. */
export function ownPartition({ schema, name, rules }: TableDefinition): OwnPartition | null {
  const own = rules.partitions.find(({ table }) => table.schema === schema && table.name === name);
  return own !== undefined && isPartition(own) ? own : null;
}

/** Rows that no partition of the subscriber takes: of a root that is sent, or sent to a partition of other bounds. */
export function partitionDrift(pair: TablePair): Finding[] {
  const theirs = treeOf(pair.subscriber);
  return [...confined(pair), ...(theirs === null ? [] : unrouted(pair, treeOf(pair.publisher), theirs))];
}

/** What is sent to a partition by its name is held to that partition's bounds. */
function confined(pair: TablePair): Finding[] {
  const { publisher, subscriber } = pair;
  const [ours, theirs] = [ownPartition(publisher), ownPartition(subscriber)];
  if (theirs === null || theirs.constraint === null) return [];
  const about = {
    kind: 'partition-bound' as const,
    table: nameOf(publisher),
    column: null,
    side: 'subscriber' as const,
  };
  const columns = publisher.columns.map(({ name }) => name);
  // That of a hash names the parent by its oid.
  const [here, there] = [ours, theirs].map((own) => own?.constraint?.replace(/'\d+'::oid/g, "'0'::oid") ?? null);
  const sameness =
    here === null || here === undefined ? 'differs' : sameText(pair, 'subscriber', there!, here, columns);
  if (sameness === 'same') return [];
  const sameKey = ours !== null && ours.parentKey === theirs.parentKey;
  const wider = sameKey && ours.bound !== theirs.bound && ours.bound !== 'DEFAULT' && theirs.bound !== 'DEFAULT';
  // What tables above it are held to as well leaves out rows that its own bound would let pass.
  const bounded = wider && !ours.parentIsPartition;
  const covered = bounded ? coverage([theirs.bound], comparisonIn(pair, ours.parentKey))(ours.bound) : 'unknown';
  if (covered === 'yes' && !theirs.parentIsPartition) return [];
  if (ours !== null && here !== null && covered !== 'no') {
    const told = notTold(pair, theirs.constraint, ours.constraint!);
    return [{ ...about, impact: 'unknown', mends: [], ...told }];
  }
  return [
    {
      ...about,
      ...refusal(
        pair,
        `the table is a partition of ${told(theirs.parent)} on the subscriber (${theirs.bound}), and ${ours === null ? 'no partition' : ours.bound} on the publisher: rows outside of it are refused`,
      ),
      advice: 'Or attach it again with bounds that hold all rows of the publisher’s.',
      mends: onSubscriber(PHASES.optional, ddl.detachPartition(theirs.parent, nameOf(subscriber))),
    },
  ];
}

function unrouted(pair: TablePair, ours: Node | null, theirs: Node): Finding[] {
  if (takesAll(theirs)) return [];
  if (ours === null || ours.key === null) {
    const whole = ours === null ? 'the publisher’s table has no partitions' : `${told(ours.table)} has none below it`;
    return [
      {
        ...finding(
          pair,
          refusal(pair, `${whole}, and ${told(theirs.table)} of the subscriber has a partition for some rows only`),
        ),
        advice: `Give it a default partition, for example: create table … partition of ${identifier(theirs.table.schema, theirs.table.name)} default`,
      },
    ];
  }
  if (ours.key !== theirs.key) return [unclear(pair, ours, theirs)];
  const [here, there] = [ours, theirs].map(({ children }) => new Map(children.map((child) => [child.bound, child])));
  // Partitions of one table have nothing in common: one that both sides have takes no rows of another.
  const others = theirs.children.filter(({ bound }) => bound === 'DEFAULT' || !here!.has(bound));
  const coveredBy = coverage(
    others.map(({ bound }) => bound!),
    comparisonIn(pair, ours.key),
  );
  const allTake = others.every(takesAll);
  return ours.children.flatMap((child) => {
    const same = there!.get(child.bound);
    if (same) return unrouted(pair, child, same);
    const covered = coveredBy(child.bound!);
    if (covered === 'no') return [missing(pair, child, theirs)];
    return covered === 'yes' && allTake ? [] : [unclear(pair, child, theirs)];
  });
}

function missing(pair: TablePair, child: Node, parent: Node): Finding {
  return {
    ...finding(
      pair,
      refusal(
        pair,
        `${told(parent.table)} of the subscriber has no partition for the rows of ${told(child.table)} (${child.bound})`,
      ),
    ),
    advice: 'Its name is free to choose. Rows of it that came before stopped apply: it goes on by itself then.',
    mends: onSubscriber(pair.filtered ? PHASES.optional : PHASES.extendSubscriber, ...created(child, parent.table)),
  };
}

/** With all that is below it, in the schema of the table above. */
function created({ table, bound, key, children }: Node, parent: TableName): Statement[] {
  const made = { schema: parent.schema, name: table.name };
  return [ddl.createPartition(made, parent, bound!, key), ...children.flatMap((child) => created(child, made))];
}

function unclear(pair: TablePair, ours: Node, theirs: Node): Finding {
  const form = ({ key, bound }: Node) => key ?? bound;
  return {
    ...finding(pair, {
      impact: 'unknown',
      detail: `whether the partitions of ${told(theirs.table)} of the subscriber (${form(theirs)}) take all rows of ${told(ours.table)} (${form(ours)}) cannot be told`,
    }),
    advice: 'Compare them by eye, or give the subscriber’s a default partition.',
  };
}

/** A row filter may leave out all rows that would be refused: what it says is not read here. */
function refusal({ filtered }: TablePair, detail: string): Pick<Finding, 'impact' | 'detail'> {
  return filtered
    ? { impact: 'unknown', detail: `${detail}, unless the row filter leaves out all of them` }
    : { impact: 'may-stop-apply', detail };
}

function finding({ publisher }: TablePair, what: Pick<Finding, 'impact' | 'detail'>): Finding {
  return {
    ...{
      kind: 'partition-missing',
      table: nameOf(publisher),
      column: null,
      side: 'subscriber',
      advice: null,
      mends: [],
    },
    ...what,
  };
}

function takesAll({ key, children }: Node): boolean {
  return key === null || (coversAll(children.map(({ bound }) => bound!)) && children.every(takesAll));
}

/** Null: it has no partitions. */
function treeOf({ schema, name, kind, rules }: TableDefinition): Node | null {
  if (kind !== 'p') return null;
  const below = new Map<string, PartitionRule[]>();
  for (const rule of rules.partitions) {
    if (rule.parent === null) continue;
    const beside = below.get(keyOf(rule.parent)) ?? [];
    below.set(keyOf(rule.parent), beside);
    beside.push(rule);
  }
  const nodeOf = (rule: PartitionRule): Node => ({
    ...rule,
    children: (below.get(keyOf(rule.table)) ?? []).map(nodeOf),
  });
  const top = rules.partitions.find(({ table }) => isSame(table, { schema, name }));
  return top === undefined ? null : nodeOf(top);
}

/** Of a key over one plain column; null: it is none, or does not compare alike on both sides. */
function comparisonIn({ publisher, subscriber }: TablePair, key: string): Comparison | null {
  const columnIn = ({ columns }: TableDefinition) =>
    columns.find(({ name }) =>
      [name, identifier(name)].some((each) => key === `RANGE (${each})` || key === `LIST (${each})`),
    );
  const [ours, theirs] = [columnIn(publisher), columnIn(subscriber)];
  if (ours === undefined || theirs === undefined) return null;
  const comparison = comparisonOf(ours);
  if (comparison !== comparisonOf(theirs)) return null;
  return comparison === 'number' || ours.type === theirs.type ? comparison : null;
}

function isPartition(rule: PartitionRule): rule is OwnPartition {
  return rule.parent !== null && rule.parentKey !== null && rule.bound !== null;
}

function isSame(one: TableName, other: TableName): boolean {
  return one.schema === other.schema && one.name === other.name;
}

function keyOf({ schema, name }: TableName): string {
  return JSON.stringify([schema, name]);
}

function nameOf({ schema, name }: TableName): TableName {
  return { schema, name };
}

function told({ schema, name }: TableName): string {
  return `${schema}.${name}`;
}
