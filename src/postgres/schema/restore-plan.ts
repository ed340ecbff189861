import type { DumpEntry, DumpItem } from './dump-statements.js';
import { leadingTokens, tokens } from './sql-text.js';

/** The post-data section cut in two by what logical replication needs first. */
export interface PostDataSplit {
  /** Primary keys and whatever a replica identity rests on: before the subscription is created. */
  earlyPostData: DumpItem[];
  /** Everything else: other indexes and constraints, foreign keys, triggers, rules, policies; after the copy. */
  latePostData: DumpItem[];
}

/** Timeouts are the restoring session's business: pg_dump switches them all off. */
const DROPPED_SETTINGS = new Set([
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
  'transaction_timeout',
]);

/**
 * Whether a session setting of the dump is applied: not the timeouts, and not what the target's version does not know
 * (pg_dump writes settings of its own version whatever it reads from).
 */
export function keepsSetting(name: string, knownToTarget: ReadonlySet<string>): boolean {
  return !DROPPED_SETTINGS.has(name) && knownToTarget.has(name);
}

/** Statements of an entry that are run. `CREATE SCHEMA public` is not: every database is born with that schema. */
export function runnableStatements(entry: DumpEntry): string[] {
  return entry.statements.filter((statement) => {
    const [create, schema, name] = leadingTokens(statement, 4);
    return !(create === 'CREATE' && schema === 'SCHEMA' && (name === 'PUBLIC' || name === '"public"'));
  });
}

/** Splits a post-data dump. Settings go to both halves, in their places. */
export function splitPostData(items: DumpItem[]): PostDataSplit {
  const early = new Set<DumpEntry>();
  const earlyIndexes = new Set<string>();
  for (const item of items) {
    if (item.kind !== 'entry' || !carriesReplicaIdentity(item)) continue;
    early.add(item);
    const index = indexName(item);
    if (index !== null) earlyIndexes.add(qualified(item.schema, index));
  }
  for (const item of items) {
    // A partitioned primary key is valid only once the partitions' keys are attached.
    if (item.kind === 'entry' && item.type === 'INDEX ATTACH') {
      const names = attachedIndexes(item.statements[0]!);
      if (names !== null && names.every((name) => earlyIndexes.has(name))) early.add(item);
    }
  }
  return {
    earlyPostData: items.filter((item) => item.kind === 'setting' || early.has(item)),
    latePostData: items.filter((item) => item.kind === 'setting' || !early.has(item)),
  };
}

function carriesReplicaIdentity(entry: DumpEntry): boolean {
  return entry.statements.some((statement) => {
    const words = leadingTokens(statement, 40).join(' ');
    return (
      /^ALTER TABLE .* ADD CONSTRAINT .* PRIMARY KEY \(/.test(words) ||
      / REPLICA IDENTITY (USING|FULL|NOTHING)/.test(words)
    );
  });
}

/** The name of the index that an entry creates, directly or through its constraint, as written. */
function indexName(entry: DumpEntry): string | null {
  for (const statement of entry.statements) {
    const words = leadingTokens(statement, 40);
    if (words[0] === 'CREATE') {
      const at = words.indexOf('INDEX');
      if (at > 0) return original(statement, at + 1);
    }
    const at = words.indexOf('CONSTRAINT');
    if (words[0] === 'ALTER' && at > 0) return original(statement, at + 1);
  }
  return null;
}

/** `ALTER INDEX parent ATTACH PARTITION child`: both, qualified. */
function attachedIndexes(statement: string): string[] | null {
  const words = meaningful(statement);
  const attach = words.indexOf('ATTACH');
  if (attach < 0) return null;
  const parent = words.slice(2, attach).join('');
  const child = words.slice(attach + 2, -1).join('');
  return [parent, child].map(plain);
}

function meaningful(statement: string): string[] {
  return [...tokens(statement)].filter(({ kind }) => kind !== 'space' && kind !== 'comment').map(({ text }) => text);
}

function original(statement: string, index: number): string {
  return meaningful(statement)[index]!;
}

function qualified(schema: string | null, name: string): string {
  return plain(`${schema === null ? '' : quoted(schema)}.${name}`);
}

/** Comparable spelling: every part quoted. */
function plain(name: string): string {
  return [...tokens(name)].map(({ kind, text }) => (kind === 'word' ? `"${text}"` : text)).join('');
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
