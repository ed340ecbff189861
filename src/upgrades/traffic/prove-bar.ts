import { ROLE_STATE, type RoleStateRow } from '../../postgres/catalog/fence.sql.js';
import type { ConnectionTarget } from '../../postgres/connection.js';
import { Session, withSession } from '../../postgres/session.js';
import { Problem } from '../../problems/problem.js';
import type { FenceRecord } from './fence-record.js';

/** invalid_authorization_specification (NOLOGIN, or no line in pg_hba.conf) and insufficient_privilege (no CONNECT). */
const REFUSED_BY_BAR = new Set(['28000', '42501']);

const ATTEMPTS_AT_ONCE = 8;

export interface BarProof {
  /** Every role is barred by the catalog and no login got in. */
  held: boolean;
  roles: {
    name: string;
    /** What the catalog says: NOLOGIN, no CONNECT to the database, or open. */
    catalog: 'nologin' | 'no-connect' | 'dropped' | 'open';
    /**
     * What a login met. `refused`: the server turned it away for the bar. `not-reached`: it never got as far as the
     * bar, mostly because we hold no password, so the catalog alone proves. `admitted`: the bar is broken.
     */
    login: 'refused' | 'not-reached' | 'admitted';
  }[];
}

/**
 * Proves that a new session of each recorded role is refused: by the catalog for all, and by logging in. The server
 * checks the password before the bar, so a login proves it only where `passwordOf` knows the password or the server
 * asks for none; no guess is ever sent.
 *
 * @param target how Lockstep itself reaches the fenced database
 */
export async function proveBar(
  target: ConnectionTarget,
  record: FenceRecord,
  passwordOf: (role: string) => string | undefined = () => undefined,
): Promise<BarProof> {
  const oids = record.roles.map(({ oid }) => oid);
  const states = await withSession(target, { purpose: 'fence' }, (session) =>
    session.rows<RoleStateRow>(ROLE_STATE, [oids]),
  );
  const roles: BarProof['roles'] = [];
  // A few at a time: the server's connection limit is shared with those it still serves.
  for (let start = 0; start < record.roles.length; start += ATTEMPTS_AT_ONCE) {
    const some = record.roles.slice(start, start + ATTEMPTS_AT_ONCE).map(async (role) => {
      const state = states.find(({ oid }) => oid === role.oid);
      const name = state?.name ?? role.name;
      const login = await attempt({ ...target, user: name, password: passwordOf(role.name) ?? '' });
      return { name, catalog: byCatalog(state), login };
    });
    roles.push(...(await Promise.all(some)));
  }
  return { held: roles.every(({ catalog, login }) => catalog !== 'open' && login !== 'admitted'), roles };
}

function byCatalog(state: RoleStateRow | undefined): BarProof['roles'][number]['catalog'] {
  if (state === undefined) return 'dropped';
  if (!state.canLogin) return 'nologin';
  return state.mayConnect ? 'open' : 'no-connect';
}

async function attempt(target: ConnectionTarget): Promise<BarProof['roles'][number]['login']> {
  try {
    const session = await Session.open(target, { purpose: 'fence proof', connectTimeoutMs: 2_000 });
    await session.close();
    return 'admitted';
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const { sqlstate } = error.options;
    if (sqlstate !== undefined && REFUSED_BY_BAR.has(sqlstate)) return 'refused';
    return 'not-reached';
  }
}
