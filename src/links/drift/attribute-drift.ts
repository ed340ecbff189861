import type { Attribute, ColumnDefinition } from '../../postgres/catalog/table-definitions.js';
import { addAttribute } from '../../postgres/ddl/table-change.ddl.js';
import { type Finding, type Impact, onSubscriber, PHASES, type TablePair } from './finding.js';
import { widens } from './widening.js';

/** Differences of composite types of one name. A row of one is read by place: it must have as many attributes. */
export function attributesDiffer(pair: TablePair, ours: ColumnDefinition, theirs: ColumnDefinition): Finding[] {
  const [one, other] = [ours.attributes, theirs.attributes];
  if (JSON.stringify(one) === JSON.stringify(other)) return [];
  const { schema, name } = pair.publisher;
  const lacking = added(other ?? [], one ?? []);
  const can = ours.compositeName !== null && lacking.length > 0;
  return [
    {
      ...{ kind: 'type-attributes', table: { schema, name }, column: ours.name, side: 'subscriber' },
      impact: impactOf(one ?? [], other ?? [], pair.binary),
      detail: `the type ${ours.base} of the column ${JSON.stringify(ours.name)} is ${written(one)} on the publisher and ${written(other)} on the subscriber`,
      advice: can
        ? 'Rows that are there get NULL in them: where the publisher has other values, resync the table then.'
        : adviceOf(ours, added(one ?? [], other ?? []).length > 0),
      mends: can
        ? onSubscriber(
            PHASES.namesOnSubscriber,
            ...lacking.map((attribute) => addAttribute(ours.compositeName!, attribute.path[0]!, attribute.type)),
          )
        : [],
    },
  ];
}

/** The type's own attributes that come after all of `before`, where nothing else differs. */
function added(before: readonly Attribute[], after: readonly Attribute[]): Attribute[] {
  const more = after.slice(before.length);
  const follows = JSON.stringify(after.slice(0, before.length)) === JSON.stringify(before);
  return follows && more[0]?.path.length === 1 ? more.filter(({ path }) => path.length === 1) : [];
}

function impactOf(one: readonly Attribute[], other: readonly Attribute[], binary: boolean): Impact {
  const shape = (attributes: readonly Attribute[]) => attributes.map(({ path }) => path.length).join();
  if (shape(one) !== shape(other)) return 'stops-apply';
  const unlike = one.filter(({ type }, at) => type !== other[at]!.type);
  if (unlike.length === 0) return 'may-differ';
  if (binary) return 'stops-apply';
  return one.every(({ type }, at) => widens(type, other[at]!.type)) ? 'may-differ' : 'may-stop-apply';
}

function adviceOf({ base, compositeName }: ColumnDefinition, subscriberHasMore: boolean): string {
  if (compositeName === null) return `${base} is the row type of a table: make its columns the same, in one order.`;
  return subscriberHasMore
    ? 'Add them on the publisher too, or drop them on the subscriber, where their values are lost.'
    : `Make the attributes of ${base} the same on both sides, in one order.`;
}

function written(attributes: readonly Attribute[] | null): string {
  if (attributes === null) return 'no composite type';
  return `(${attributes.map(({ path, type }) => `${JSON.stringify(path.join('.'))} ${type}`).join(', ')})`;
}
