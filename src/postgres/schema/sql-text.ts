/** What stands at one place of SQL text, as the server's scanner would cut it with standard_conforming_strings on. */
type TokenKind = 'word' | 'quoted-name' | 'string' | 'comment' | 'space' | 'symbol';

export interface Token {
  kind: TokenKind;
  /** The text as written, quotes included. */
  text: string;
  start: number;
}

const WORD_START = /[A-Za-z_\u0080-\uffff]/;
const WORD = /[A-Za-z0-9_$\u0080-\uffff]+/y;
const SPACE = /\s+/y;
const NUMBER = /[0-9][0-9A-Za-z_.]*/y;
const DOLLAR_QUOTE = /\$(?:[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*)?\$/y;
const STRING_PREFIX = /^(?:[eEbBxXnN]|[uU]&)$/;

/** Cuts SQL text into tokens. Text that ends inside a quote or comment throws RangeError: a dump cut off half-way. */
export function* tokens(text: string, from = 0): Generator<Token> {
  let at = from;
  while (at < text.length) {
    const { kind, end } = tokenAt(text, at);
    yield { kind, text: text.slice(at, end), start: at };
    at = end;
  }
}

function tokenAt(text: string, at: number): { kind: TokenKind; end: number } {
  const char = text[at]!;
  if (char === "'") return { kind: 'string', end: closeQuote(text, at, "'", false) };
  if (char === '"') return { kind: 'quoted-name', end: closeQuote(text, at, '"', false) };
  if (char === '-' && text[at + 1] === '-') return { kind: 'comment', end: endOfLine(text, at) };
  if (char === '/' && text[at + 1] === '*') return { kind: 'comment', end: closeBlockComment(text, at) };
  const space = match(SPACE, text, at);
  if (space > at) return { kind: 'space', end: space };
  if (WORD_START.test(char)) return wordAt(text, at);
  if (char === '$') {
    const opened = match(DOLLAR_QUOTE, text, at);
    if (opened > at) return { kind: 'string', end: closeDollarQuote(text, at, text.slice(at, opened)) };
  }
  const number = match(NUMBER, text, at);
  if (number > at) return { kind: 'symbol', end: number };
  return { kind: 'symbol', end: at + 1 };
}

function wordAt(text: string, at: number): { kind: TokenKind; end: number } {
  const end = match(WORD, text, at);
  const word = text.slice(at, end);
  if (text[end] === "'" && STRING_PREFIX.test(word)) {
    return { kind: 'string', end: closeQuote(text, end, "'", /[eE]/.test(word)) };
  }
  if (/^[uU]$/.test(word) && text[end] === '&') {
    if (text[end + 1] === '"') return { kind: 'quoted-name', end: closeQuote(text, end + 1, '"', false) };
    if (text[end + 1] === "'") return { kind: 'string', end: closeQuote(text, end + 1, "'", false) };
  }
  return { kind: 'word', end };
}

function match(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : at;
}

/** Position after the closing quote; a doubled quote, and with `backslashes` an escaped one, does not close. */
function closeQuote(text: string, open: number, quote: string, backslashes: boolean): number {
  for (let at = open + 1; at < text.length; at++) {
    if (backslashes && text[at] === '\\') at++;
    else if (text[at] === quote) {
      if (text[at + 1] !== quote) return at + 1;
      at++;
    }
  }
  throw new RangeError(`quote at ${open} is not closed`);
}

function closeDollarQuote(text: string, open: number, tag: string): number {
  const close = text.indexOf(tag, open + tag.length);
  if (close < 0) throw new RangeError(`dollar quote at ${open} is not closed`);
  return close + tag.length;
}

function closeBlockComment(text: string, open: number): number {
  let depth = 0;
  for (let at = open; at < text.length - 1; at++) {
    if (text[at] === '/' && text[at + 1] === '*') {
      depth++;
      at++;
    } else if (text[at] === '*' && text[at + 1] === '/') {
      depth--;
      at++;
      if (depth === 0) return at + 1;
    }
  }
  throw new RangeError(`comment at ${open} is not closed`);
}

function endOfLine(text: string, at: number): number {
  const end = text.indexOf('\n', at);
  return end < 0 ? text.length : end + 1;
}

/** The first tokens that mean something: no spaces, no comments; words in upper case, quoted names as written. */
export function leadingTokens(sql: string, limit: number): string[] {
  const leading: string[] = [];
  for (const { kind, text } of tokens(sql)) {
    if (kind === 'space' || kind === 'comment') continue;
    leading.push(kind === 'word' ? text.toUpperCase() : text);
    if (leading.length === limit) break;
  }
  return leading;
}
