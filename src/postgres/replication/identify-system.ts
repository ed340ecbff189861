import { connect, type ConnectionTarget } from '../connection.js';
import { translateError } from '../translate-error.js';

const CONNECT_MS = 5_000;

/**
 * The system identifier of whatever answers there, asked as a subscription connects: by a walsender session, which needs
 * REPLICATION and no privilege in the database. Rejects with a Problem.
 */
export async function identifySystem(target: ConnectionTarget): Promise<string> {
  const client = await connect(target, {
    purpose: 'link check',
    replication: true,
    connectTimeoutMs: CONNECT_MS,
    statementTimeoutMs: CONNECT_MS,
  });
  try {
    const { rows } = await client.query<{ systemid: string }>('IDENTIFY_SYSTEM');
    return rows[0]!.systemid;
  } catch (error) {
    throw translateError(error, `${target.host}:${target.port}`);
  } finally {
    await client.end().catch(() => {});
  }
}
