import { ERROR_CODES } from './error-codes.js';

/** docs/errors.md, from the catalogue. */
export function renderErrorDocs(): string {
  const entries = Object.entries(ERROR_CODES).sort(
    ([codeA, a], [codeB, b]) => a.status - b.status || (codeA < codeB ? -1 : 1),
  );
  const table = entries.map(
    ([code, { status, title, retryable }]) =>
      `| [\`${code}\`](#${code.toLowerCase()}) | ${status} | ${retryable ? 'yes' : 'no'} | ${title} |`,
  );
  const sections = entries.map(
    ([code, { status, description, retryable }]) =>
      `### ${code}\n\nStatus ${status}, ${retryable ? 'retryable' : 'not retryable'}. ${description}\n`,
  );
  return `${INTRODUCTION}
| code | status | retryable | title |
| --- | --- | --- | --- |
${table.join('\n')}

${sections.join('\n')}`;
}

const INTRODUCTION = `<!-- Generated from src/problems/error-codes.ts by \`npm run docs\`. -->

# Errors

Every error is an \`application/problem+json\` document (RFC 9457):

\`\`\`json
{
  "type": "urn:lockstep:problem:invalid-input",
  "title": "The request is not valid",
  "status": 400,
  "detail": "#/tls/mode: must be one of the following values: disable, prefer, require, verify-ca, verify-full",
  "code": "INVALID_INPUT",
  "retryable": false,
  "instance": "/v1/servers",
  "requestId": "3f1c0f0e-5a1c-4a3b-9a0e-0d8a5b1f7c11",
  "errors": [{ "pointer": "#/tls/mode", "detail": "must be one of the following values: ..." }]
}
\`\`\`

- \`code\` is stable: write programs against it, not against \`title\` or \`detail\`.
- \`retryable\` says whether the same request may succeed later without a change by the caller.
- \`sqlstate\` is there when a PostgreSQL server reported the error; \`hint\` says what to do about it.
- \`errors[].pointer\` locates a fault: \`#/a/b\` in the body, \`query:name\` in the query string, \`path:name\` in the path.
- \`requestId\` is also in the \`X-Request-Id\` header, in the log and in the audit event.

A managed server that fails is a 502, 503 or 504; a 500 is a bug in Lockstep.
`;
