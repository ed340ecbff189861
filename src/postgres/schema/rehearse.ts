import { Problem } from '../../problems/problem.js';
import type { Session } from '../session.js';
import type { DumpEntry, DumpItem } from './dump-statements.js';
import { describeEntry } from './restore.js';
import { RestoringLogin } from './restore-as.js';
import { keepsSetting } from './restore-plan.js';
import * as journal from './restore-journal.sql.js';
import { becomesRoles, roleCompletion, roleCreation, type RolePlan } from './roles.js';

export interface RehearsalFailure {
  /** E.g. `TABLE public.orders`, `role app`. */
  object: string;
  /** Who is to own it; null where that is not asked. */
  owner: string | null;
  schema: string | null;
  reason: string;
  sqlstate: string;
}

const INSUFFICIENT_PRIVILEGE = '42501';
/** Warnings of GRANT and REVOKE that did nothing, or not all, for want of the right to. */
const NOT_GRANTED = new Set(['01006', '01007']);

/** Entries sent at once. */
const TOGETHER = 50;

type Refusal = Pick<RehearsalFailure, 'reason' | 'sqlstate'>;
type Attempted = Pick<RehearsalFailure, 'object' | 'owner' | 'schema'>;

function ofRole(name: string): Attempted {
  return { object: `role ${name}`, owner: null, schema: null };
}

function ofEntry(entry: DumpEntry): Attempted {
  return { object: describeEntry(entry), owner: entry.owner, schema: entry.schema };
}

/**
 * Creates the plan's roles and the dump's objects on the target as the login would, in one transaction that is rolled
 * back, and tells what it was refused. Nothing else says beforehand all that a login without superuser may not do.
 * Roles are created without passwords and without LOGIN. What fails only because something before it failed is left
 * out; a failure that is no refusal is told too, as the restore would meet it.
 */
export async function rehearseRestore(
  session: Session,
  plan: RolePlan,
  items: readonly DumpItem[],
  signal?: AbortSignal,
): Promise<RehearsalFailure[]> {
  const rehearsal = new Rehearsal(session, signal);
  await session.execute('begin');
  try {
    await session.execute('set local statement_timeout = 0');
    const becomes = await becomesRoles(session);
    for (const role of plan.create) {
      await rehearsal.one(ofRole(role.name), () => roleCreation({ ...role, login: false }, null, becomes));
    }
    for (const { role, statement } of await roleCompletion(session, plan)) {
      await rehearsal.one(ofRole(role), () => [statement]);
    }
    await rehearsal.entries(items);
  } finally {
    rehearsal.end();
    if (session.alive) await session.execute('rollback');
  }
  const { failures } = rehearsal;
  const refused = failures.filter(({ sqlstate }) => sqlstate === INSUFFICIENT_PRIVILEGE);
  return refused.length > 0 ? refused : failures.slice(0, 1);
}

class Rehearsal {
  readonly failures: RehearsalFailure[] = [];
  private warning: string | null = null;
  private readonly onNotice = ({ code, message }: { code?: string | undefined; message?: string | undefined }) => {
    if (NOT_GRANTED.has(code ?? '')) this.warning = message ?? 'not granted';
  };

  constructor(
    private readonly session: Session,
    private readonly signal: AbortSignal | undefined,
  ) {
    session.driver.on('notice', this.onNotice);
  }

  end(): void {
    this.session.driver.off('notice', this.onNotice);
  }

  /** Many in one round trip; one by one only where one of them fails. */
  async entries(items: readonly DumpItem[]): Promise<void> {
    const settings = await this.session.rows<{ name: string }>(journal.knownSettings);
    const known = new Set(settings.map(({ name }) => name));
    const login = await RestoringLogin.of(this.session);
    const kept = items.filter((item) => item.kind === 'entry' || keepsSetting(item.name, known));
    const statementsOf = async (item: DumpItem) =>
      item.kind === 'entry' ? await login.statements(item) : [item.statement];
    for (let at = 0; at < kept.length; at += TOGETHER) {
      const some = kept.slice(at, at + TOGETHER);
      const all = async () => {
        const statements: string[] = [];
        for (const item of some) statements.push(...(await statementsOf(item)));
        return statements;
      };
      if ((await this.refusal(all)) === null) continue;
      for (const item of some) {
        if (item.kind === 'entry') await this.one(ofEntry(item), () => statementsOf(item));
        else await this.session.execute(item.statement);
      }
    }
  }

  async one(what: Attempted, statements: () => Promise<string[]> | string[]): Promise<void> {
    const refusal = await this.refusal(statements);
    if (refusal !== null) this.failures.push({ ...what, ...refusal });
  }

  /** Null when all statements ran; otherwise none of them has. */
  private async refusal(statements: () => Promise<string[]> | string[]): Promise<Refusal | null> {
    this.signal?.throwIfAborted();
    this.warning = null;
    let refusal: Refusal | null = null;
    try {
      const inside = (await statements()).map((sql) => `${sql.replace(/;\s*$/, '')};\n`).join('');
      await this.session.execute(`savepoint rehearsal;\n${inside}`);
      if (this.warning !== null) refusal = { reason: this.warning, sqlstate: INSUFFICIENT_PRIVILEGE };
    } catch (error) {
      if (!(error instanceof Problem) || error.options.sqlstate === undefined) throw error;
      refusal = { reason: error.detail, sqlstate: error.options.sqlstate };
    }
    await this.session.execute(
      refusal === null ? 'release savepoint rehearsal' : 'rollback to savepoint rehearsal; release savepoint rehearsal',
    );
    return refusal;
  }
}
