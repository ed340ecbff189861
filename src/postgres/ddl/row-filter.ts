import { invalidInput } from './option-rules.js';

const UNBALANCED = 'its parentheses do not match';

/**
 * Throws unless the text is one expression that cannot end the parentheses it is put into: an expression is the
 * one part of a statement that cannot be quoted. Comments and semicolons outside of strings are refused; whether the
 * expression means anything is for the server to say.
 */
export function requireSelfContainedExpression(text: string, pointer: string): void {
  const refuse = (why: string) => invalidInput(pointer, `the row filter is not one expression: ${why}`);
  if (text.trim() === '') throw refuse('it is empty');
  if (text.includes('\0')) throw refuse('it contains a zero byte');
  const closers: string[] = [];
  for (let at = 0; at < text.length; at++) {
    const rest = text.slice(at);
    const skipped = quotedLength(text, at);
    if (skipped === null) throw refuse('a quote is not closed');
    if (skipped > 0) {
      at += skipped - 1;
    } else if (rest.startsWith('--') || rest.startsWith('/*')) {
      throw refuse('it contains a comment');
    } else if (text[at] === ';') {
      throw refuse('it contains a semicolon');
    } else if (text[at] === '(' || text[at] === '[') {
      closers.push(text[at] === '(' ? ')' : ']');
    } else if ((text[at] === ')' || text[at] === ']') && closers.pop() !== text[at]) {
      throw refuse(UNBALANCED);
    }
  }
  if (closers.length > 0) throw refuse(UNBALANCED);
}

/** Length of the string, identifier or dollar-quoted text that begins at `at`; 0 when none does, null when it never ends. */
function quotedLength(text: string, at: number): number | null {
  const char = text[at];
  if (char === "'" || char === '"') {
    const escapes = char === "'" && /(^|[^\w$\u0080-\uffff])[eE]$/.test(text.slice(0, at));
    for (let end = at + 1; end < text.length; end++) {
      if (escapes && text[end] === '\\') end++;
      else if (text[end] === char) {
        if (text[end + 1] === char) end++;
        else return end + 1 - at;
      }
    }
    return null;
  }
  // A dollar inside an identifier does not open a string.
  if (char !== '$' || /[\w$\u0080-\uffff]$/.test(text.slice(0, at))) return 0;
  const tag = /^\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/.exec(text.slice(at))?.[0];
  if (!tag) return 0;
  const end = text.indexOf(tag, at + tag.length);
  return end < 0 ? null : end + tag.length - at;
}
