import { Problem } from '../problems/problem.js';
import { pointerTo } from '../problems/validation.pipe.js';
import type { CreateUpgradeDto } from './upgrades.dto.js';
import type { UpgradeSpec } from './upgrades.service.js';

const DEFAULT_DEADLINES = { fenceMs: 5_000, drainMs: 30_000, slotMs: 60_000 };

/** The request with its defaults. */
export function specFrom(body: CreateUpgradeDto): UpgradeSpec {
  const { name, source, target } = body;
  if (source.server === target.server && source.database === target.database) {
    throw new Problem('INVALID_INPUT', 'source and target are the same database', {
      errors: [{ pointer: '#/target', detail: 'must differ from source' }],
    });
  }
  const passwords = Object.entries(body.writerPasswords ?? {});
  const wrong = passwords.filter(([, password]) => typeof password !== 'string' || password === '');
  if (wrong.length > 0) {
    throw new Problem('INVALID_INPUT', 'a password is not a text', {
      errors: wrong.map(([role]) => ({ pointer: pointerTo(['writerPasswords', role]), detail: 'must be a text' })),
    });
  }
  return {
    name,
    source: { server: source.server, database: source.database },
    target: { server: target.server, database: target.database },
    copy: { method: 'tablesync' },
    verification: {
      required: body.verification?.required ?? true,
      maxParallel: body.verification?.maxParallel ?? 2,
    },
    traffic: { kind: 'sql-fence' },
    writerRoles: body.writerRoles ?? null,
    gates: body.gates ?? ['switchover'],
    deadlines: {
      fenceMs: body.deadlines?.fenceMs ?? DEFAULT_DEADLINES.fenceMs,
      drainMs: body.deadlines?.drainMs ?? DEFAULT_DEADLINES.drainMs,
      slotMs: body.deadlines?.slotMs ?? DEFAULT_DEADLINES.slotMs,
    },
    replicaIdentity: body.replicaIdentity ?? 'require',
    writerPasswords: Object.fromEntries(passwords),
  };
}
