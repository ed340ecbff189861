import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { literal } from '../../src/postgres/quoting.js';
import type { TestServer } from './postgres-fleet.js';

const FOLDER = join(import.meta.dirname, 'tls');
/** The authority that signed the servers' certificate, which is for the name localhost. */
export const TEST_CA = readFileSync(join(FOLDER, 'ca.crt'), 'utf8');

/** Lets nobody but the users named in unencrypted, puts the authority's certificate beside, and answers its path there. */
export async function requireTls(server: TestServer, plainUsers: string[]): Promise<string> {
  return await server.withSession('postgres', async (session) => {
    const write = (file: string, text: string) =>
      session.execute(
        `copy (select unnest(string_to_array(${literal(text)}, e'\\n'))) to program 'umask 077; cat > ${file}'`,
      );
    await write('server.crt', readFileSync(join(FOLDER, 'signed.crt'), 'utf8'));
    await write('server.key', readFileSync(join(FOLDER, 'signed.key'), 'utf8'));
    await write('ca.crt', TEST_CA);
    await setHba(server, [
      `host all ${plainUsers.join(',')} 127.0.0.1/32 scram-sha-256`,
      'hostssl all all all scram-sha-256',
    ]);
    await session.execute('alter system set ssl = on');
    await session.execute('select pg_reload_conf()');
    const { folder } = await session.row<{ folder: string }>(`select current_setting('data_directory') as folder`);
    return `${folder}/ca.crt`;
  });
}

/** Replaces pg_hba.conf. The lines are in force for sessions that begin after this. */
export async function setHba(server: TestServer, lines: string[]): Promise<void> {
  await server.withSession('postgres', async (session) => {
    await session.execute(
      `copy (select unnest(string_to_array(${literal(lines.join('\n'))}, e'\\n'))) to program 'umask 077; cat > pg_hba.conf'`,
    );
    await session.execute('select pg_reload_conf()');
  });
}
