import { majorOf, PG13, PG19 } from '../../../shared/server-version.js';
import { COMBINATION_RULES, type CombinationRule } from './combination-rules.js';
import type { OptionRule } from './option-rule.js';
import { PUBLICATION_OPTIONS } from './publication-options.js';
import { SLOT_OPTIONS } from './slot-options.js';
import {
  STREAMING_PARALLEL,
  SUBSCRIPTION_ACTIONS,
  SUBSCRIPTION_OPTIONS,
  SUBSCRIPTION_OPTIONS_NOT_OFFERED,
} from './subscription-option-table.js';

/** Every rule about an option, by what it belongs to, as the tables of docs/options.md show them. */
export const OPTION_TABLES: Record<string, readonly OptionRule[]> = {
  Publications: Object.values(PUBLICATION_OPTIONS),
  Subscriptions: [
    ...Object.values(SUBSCRIPTION_OPTIONS),
    STREAMING_PARALLEL,
    ...Object.values(SUBSCRIPTION_OPTIONS_NOT_OFFERED),
  ],
  'Subscriptions: actions': Object.values(SUBSCRIPTION_ACTIONS),
  'Replication slots': Object.values(SLOT_OPTIONS),
};

const SEEN: Record<CombinationRule['seen'], string> = {
  request: 'before any connection',
  state: 'before anything changes',
  server: 'by the server',
  note: 'not refused',
};

/** docs/options.md, from the tables that the statements are built by. */
export function renderOptionDocs(): string {
  const tables = Object.entries(OPTION_TABLES).map(
    ([title, rules]) =>
      `## ${title}\n\n${row(COLUMNS)}\n${row(COLUMNS.map(() => '---'))}\n${rules.map(line).join('\n')}\n`,
  );
  const combinations = Object.entries<CombinationRule>(COMBINATION_RULES).map(([name, { on, says, instead, seen }]) =>
    row([`\`${name}\``, on, says, SEEN[seen], instead]),
  );
  return `${INTRODUCTION}
${tables.join('\n')}
## Rules

A refusal carries the name of its rule as \`rule\`, with \`option\`, \`minimumVersion\` and \`serverVersion\` where a version is what is missing, and what to do instead as \`hint\`.

${row(['rule', 'about', 'what must hold', 'refused', 'instead'])}
${row(['---', '---', '---', '---', '---'])}
${combinations.join('\n')}
`;
}

const COLUMNS = [
  'option',
  'PostgreSQL',
  'since',
  'ALTER since',
  'state needed',
  'default',
  'publisher',
  'instead, on older ones',
];

function line(rule: OptionRule): string {
  const { option, keyword, example, since, alterSince = since, alterWhile, altersSlot, defaults, publisher } = rule;
  const state = [
    alterWhile ?? 'any',
    ...(altersSlot === undefined
      ? []
      : [
          `${altersSlot.when}: not in a transaction, publisher ${version(altersSlot.publisherSince)}, whose slot it changes`,
        ]),
  ];
  return row([
    option === null ? `not offered` : `\`${option}\``,
    `${keyword}: \`${example}\``,
    version(since),
    alterSince === null ? 'never' : version(alterSince),
    alterSince === null ? '' : state.join('; '),
    defaults.map((each) => `${each.value}${each.since === PG13 ? '' : ` (from ${majorOf(each.since)} on)`}`).join(', '),
    publisher ? `${version(publisher.since)}; older: ${publisher.older}. ${publisher.meaning}` : '',
    rule.instead,
  ]);
}

function version(versionNum: number): string {
  if (versionNum <= PG13) return 'all';
  return `${majorOf(versionNum)}${versionNum >= PG19 ? ' (not tried)' : ''}`;
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

const INTRODUCTION = `<!-- Generated from src/postgres/ddl/options/ by \`npm run docs\`. -->

# Options

Every option of publications, subscriptions and replication slots, with the versions of PostgreSQL that take it. Statements are built by these tables and requests are checked by them, where the server's version is known already before any connection is made. Tests run every line on every version from 13 to 18: what is taken here is taken by the server, and what is refused here for its version is refused there. What begins with 19 could not be tried.
`;
