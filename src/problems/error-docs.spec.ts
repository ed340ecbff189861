import { expect, it } from '@jest/globals';
import { ERROR_CODES } from './error-codes.js';
import { renderErrorDocs } from './error-docs.js';

it('lists every code with its status, and explains it once', () => {
  const docs = renderErrorDocs();
  for (const [code, { status, description }] of Object.entries(ERROR_CODES)) {
    expect(docs).toMatch(new RegExp(`^\\| \\[\`${code}\`\\]\\(#${code.toLowerCase()}\\) \\| ${status} \\|`, 'm'));
    expect(docs.split(`### ${code}\n`)).toHaveLength(2);
    expect(docs).toContain(description);
  }
});
