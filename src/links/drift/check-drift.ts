import type { CheckRule, DomainRule } from '../../postgres/catalog/table-rules.js';
import type { TableName } from '../../postgres/catalog/tables.js';
import * as ddl from '../../postgres/ddl/table-change.ddl.js';
import { alteredTable, type Finding, onSubscriber, PHASES, type TablePair } from './finding.js';
import { heldBy, notTold, type Said } from './held.js';

/** CHECKs of the subscriber, which apply is held to as any writer is; those of the publisher only are told, too. */
export function checkDrift(pair: TablePair): Finding[] {
  const { publisher, subscriber, sent } = pair;
  const [ours, theirs] = [publisher.rules.checks.map(saidBy), subscriber.rules.checks.map(saidBy)];
  // One over the subscriber's own columns alone is decided by their defaults.
  const applied = theirs.filter(({ columns }) => columns.length === 0 || columns.some((name) => sent.includes(name)));
  const refusing = applied.flatMap((check) => {
    const { sameness, other } = heldBy(pair, 'subscriber', check, ours);
    if (sameness === 'same') return [];
    return [other === null ? onlyThere(pair, check) : unclear(pair, check, other)];
  });
  const lacking = ours.filter(
    (check) =>
      check.whole &&
      check.columns.every((name) => sent.includes(name)) &&
      heldBy(pair, 'publisher', check, theirs).sameness === 'differs',
  );
  return [...refusing, ...lacking.map((check) => onlyHere(pair, check))];
}

type SaidCheck = CheckRule & Said;

function saidBy(check: CheckRule): SaidCheck {
  return { ...check, texts: [check.expression] };
}

function onlyThere({ publisher, subscriber }: TablePair, { name, on, expression, inherited }: SaidCheck): Finding {
  const same = ddl.addCheck(alteredTable(publisher), name, expression).redactedSql;
  return {
    ...{
      kind: 'check-constraint',
      table: nameOf(publisher),
      column: null,
      side: 'subscriber',
      impact: 'may-stop-apply',
    },
    detail: `only the subscriber holds rows to the check ${quote(name)}${where(on, alteredTable(subscriber))}: ${expression}`,
    advice: inherited
      ? 'It comes from a table that this one inherits from: drop it there.'
      : `Or hold the publisher to it as well, once all its rows fit: ${same}`,
    mends: inherited ? [] : onSubscriber(PHASES.shrinkSubscriber, ddl.dropConstraint(on, name)),
  };
}

function unclear(pair: TablePair, check: SaidCheck, other: SaidCheck): Finding {
  return {
    ...{ kind: 'check-constraint', table: nameOf(pair.publisher), column: null, side: 'subscriber', mends: [] },
    impact: 'unknown',
    ...notTold(pair, `check ${quote(check.name)} ${check.expression}`, `${quote(other.name)} ${other.expression}`),
  };
}

function onlyHere({ publisher, subscriber }: TablePair, { name, expression }: SaidCheck): Finding {
  return {
    ...{ kind: 'check-constraint', table: nameOf(publisher), column: null, side: 'subscriber', impact: 'none' },
    detail: `only the publisher holds rows to the check ${quote(name)}: ${expression}`,
    advice: 'Nothing is refused for it. The subscriber needs it once it has writers of its own; validate it then.',
    mends: onSubscriber(PHASES.optional, ddl.addCheck(alteredTable(subscriber), name, expression)),
  };
}

/** What the domains of columns hold their values to: apply reads values through them. */
export function domainDrift(pair: TablePair): Finding[] {
  const { publisher, subscriber, sent } = pair;
  const ours = publisher.rules.domains;
  return subscriber.rules.domains
    .filter(({ column }) => sent.includes(column))
    .flatMap((rule) => {
      if (rule.expression === null) {
        const held =
          ours.some(({ column, expression }) => column === rule.column && expression === null) ||
          publisher.columns.some(({ name, notNull }) => name === rule.column && notNull);
        return held ? [] : [stricterDomain(pair, rule)];
      }
      const others = ours.flatMap((other) =>
        other.expression === null ? [] : [saidByDomain(other, other.expression)],
      );
      const { sameness, other } = heldBy(pair, 'subscriber', saidByDomain(rule, rule.expression), others);
      if (sameness === 'same') return [];
      return [other === null ? stricterDomain(pair, rule) : unclearDomain(pair, rule, other.texts[0]!)];
    });
}

function saidByDomain({ on, column }: DomainRule, expression: string): Said {
  return { on, columns: [column], texts: [expression], whole: true };
}

function stricterDomain({ publisher }: TablePair, rule: DomainRule): Finding {
  const what = rule.expression === null ? 'NOT NULL' : `${quote(rule.name!)}: ${rule.expression}`;
  return {
    ...{ kind: 'domain-constraint', table: nameOf(publisher), column: rule.column, side: 'subscriber' },
    impact: 'may-stop-apply',
    detail: `on the subscriber only the domain ${rule.on.schema}.${rule.on.name} of the column ${quote(rule.column)} holds values to ${what}`,
    advice: 'It holds for all columns of that domain. Or hold the publisher’s to the same, once all its rows fit.',
    mends: onSubscriber(PHASES.shrinkSubscriber, ddl.dropDomainConstraint(rule.on, rule.name)),
  };
}

function unclearDomain(pair: TablePair, rule: DomainRule, other: string): Finding {
  return {
    ...{ kind: 'domain-constraint', table: nameOf(pair.publisher), column: rule.column, side: 'subscriber', mends: [] },
    impact: 'unknown',
    ...notTold(pair, `domain ${rule.on.schema}.${rule.on.name} ${rule.expression}`, other),
  };
}

/** Said only of another table than the one compared. */
function where(on: TableName, table: TableName): string {
  return on.schema === table.schema && on.name === table.name ? '' : ` of ${on.schema}.${on.name}`;
}

function nameOf({ schema, name }: TableName): TableName {
  return { schema, name };
}

function quote(name: string): string {
  return JSON.stringify(name);
}
