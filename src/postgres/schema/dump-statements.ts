import { createHash } from 'node:crypto';
import { tokens, type Token } from './sql-text.js';

/** One object (or property of an object) of a dump with everything that makes it. */
export interface DumpEntry {
  kind: 'entry';
  /** As pg_dump prints it: for reports. Names are cleaned of line breaks there, so never build SQL from them. */
  name: string;
  /** pg_dump's word, e.g. `TABLE`, `FK CONSTRAINT`, `DEFAULT ACL`. */
  type: string;
  /** null for what lives outside schemas. */
  schema: string | null;
  owner: string | null;
  statements: string[];
  /** Identifies the entry's exact content; equal dumps of an unchanged schema give equal digests. */
  digest: string;
}

/** A setting of the session that the entries after it rely on, e.g. `SET default_tablespace`. */
interface DumpSetting {
  kind: 'setting';
  statement: string;
  /** The setting's name, in lower case. */
  name: string;
}

export type DumpItem = DumpEntry | DumpSetting;

interface Header {
  name: string;
  type: string;
  schema: string | null;
  owner: string | null;
}

const HEADER = /^-- Name: (.*); Type: ([A-Z][A-Z ]*); Schema: (.*); Owner: (.*?)(?:; Tablespace: .*)?$/;
const NO_HEADER: Header = { name: '', type: 'STATEMENT', schema: null, owner: null };

/** Cuts a text dump of pg_dump into settings and entries, in order. Throws RangeError on a dump that ends half-way. */
export function parseDump(dump: string): DumpItem[] {
  const items: DumpItem[] = [];
  let current: { header: Header; statements: string[] } = { header: NO_HEADER, statements: [] };
  const seen = new Map<string, number>();
  const flush = () => {
    if (current.statements.length > 0) items.push(toEntry(current.header, current.statements, seen));
    current = { header: current.header, statements: [] };
  };
  for (const piece of pieces(dump)) {
    if (piece.kind === 'header') {
      flush();
      current = { header: piece.header, statements: [] };
      continue;
    }
    const setting = settingName(piece.statement);
    if (setting === null) {
      current.statements.push(piece.statement);
      continue;
    }
    flush();
    items.push({ kind: 'setting', statement: piece.statement, name: setting });
  }
  flush();
  return items;
}

function toEntry(header: Header, statements: string[], seen: Map<string, number>): DumpEntry {
  const content = createHash('sha256')
    .update(JSON.stringify([header, statements]))
    .digest('hex');
  const occurrence = (seen.get(content) ?? 0) + 1;
  seen.set(content, occurrence);
  return {
    kind: 'entry',
    ...header,
    statements: [...statements],
    digest: occurrence === 1 ? content : `${content}#${occurrence}`,
  };
}

type Piece = { kind: 'header'; header: Header } | { kind: 'statement'; statement: string };

/** Statements and entry headers as they follow each other. psql's backslash lines between statements are dropped. */
function* pieces(dump: string): Generator<Piece> {
  const cutter = new StatementCutter();
  let at = 0;
  let restart = true;
  while (restart) {
    restart = false;
    for (const token of tokens(dump, at)) {
      if (cutter.between) {
        if (token.kind === 'comment') {
          const header = parseHeader(token.text);
          if (header) yield { kind: 'header', header };
          continue;
        }
        if (token.kind === 'space') continue;
        if (token.text === '\\') {
          // The rest of the line is psql's, not SQL: scanning goes on at the next line.
          const end = dump.indexOf('\n', token.start);
          at = end < 0 ? dump.length : end + 1;
          restart = true;
          break;
        }
      }
      const statement = cutter.take(token);
      if (statement !== null) yield { kind: 'statement', statement };
    }
  }
  if (!cutter.between) throw new RangeError('the dump ends inside a statement');
}

function parseHeader(comment: string): Header | null {
  const found = HEADER.exec(comment.trimEnd());
  if (!found) return null;
  const [, name, type, schema, owner] = found;
  return { name: name!, type: type!, schema: dashIsNull(schema!), owner: dashIsNull(owner!) };
}

function dashIsNull(text: string): string | null {
  return text === '-' || text === '' ? null : text;
}

/**
 * Finds the semicolon that ends a statement. One inside parentheses (rules with several actions) or inside a
 * `BEGIN ATOMIC` body does not end it; quotes and comments are whole tokens already.
 */
class StatementCutter {
  private text = '';
  private parentheses = 0;
  private blocks = 0;
  private words: string[] = [];

  /** True between statements. */
  get between(): boolean {
    return this.text === '';
  }

  take(token: Token): string | null {
    this.text += token.text;
    if (token.kind === 'word') this.word(token.text.toUpperCase());
    if (token.kind !== 'symbol') return null;
    if (token.text === '(') this.parentheses++;
    if (token.text === ')') this.parentheses--;
    if (token.text !== ';' || this.parentheses > 0 || this.blocks > 0) return null;
    const statement = this.text;
    this.text = '';
    this.words = [];
    this.parentheses = 0;
    return statement;
  }

  private word(word: string): void {
    const previous = this.words.at(-1);
    // Only the start of the statement and the last word matter.
    if (this.words.length >= 6) this.words.pop();
    this.words.push(word);
    if (!/^CREATE (OR REPLACE )?(FUNCTION|PROCEDURE)\b/.test(this.words.join(' '))) return;
    if (word === 'ATOMIC' && previous === 'BEGIN' && this.blocks === 0) this.blocks = 1;
    else if (word === 'CASE' && this.blocks > 0) this.blocks++;
    else if (word === 'END' && this.blocks > 0) this.blocks--;
  }
}

/** The setting a session statement changes, or null for any other statement. */
function settingName(statement: string): string | null {
  const set = /^SET ([a-z_][a-z0-9_.]*) (?:=|TO) /i.exec(statement);
  if (set) return set[1]!.toLowerCase();
  return /^SELECT pg_catalog\.set_config\('search_path',/.test(statement) ? 'search_path' : null;
}
