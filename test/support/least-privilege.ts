import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ConnectionTarget } from '../../src/postgres/connection.js';
import type { TestServer } from './postgres-fleet.js';
import { DATABASE } from './upgrade-scene.js';

/** Statements of the SQL an administrator is told to run, exactly as documented. */
function documented(part: 'source' | 'target' | 'after'): string[] {
  const text = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'privileges', `${part}.sql`), 'utf8');
  return text
    .replaceAll(/^--.*$/gm, '')
    .split(';')
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '');
}

/** The login that the documented SQL makes. */
export const LOGIN = { user: 'lockstep', password: 'replace this password' };

export async function grantDocumented(server: TestServer, part: 'source' | 'target' | 'after'): Promise<void> {
  await server.run(DATABASE, documented(part).join(';\n'));
}

export function asLogin(server: TestServer): ConnectionTarget {
  return { ...server.target(DATABASE), ...LOGIN };
}
