import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { demoRoles } from '../../demo/workload/schema.js';
import { eventually } from '../support/eventually.js';
import { grantDocumented, LOGIN } from '../support/least-privilege.js';
import { Lockstep } from '../support/lockstep.js';
import { AVAILABLE_MAJORS } from '../support/postgres-fleet.js';
import { catalogsOf, holds, nothingSecret, operationEnds, ours, writesContinue } from '../support/upgrade-proof.js';
import { DATABASE, upgradeIn, UpgradeScene, type UpgradeView } from '../support/upgrade-scene.js';

/** Up to 15 only a superuser makes the subscription of the way back: there the target's login alone is none. */
const PATHS = (
  process.env.LOCKSTEP_SOAK === '1'
    ? [
        [14, 18],
        [15, 17],
        [16, 17],
        [16, 18],
        [17, 18],
      ]
    : [[17, 18]]
).filter((path) => path.every((major) => AVAILABLE_MAJORS.includes(major))) as [number, number][];

/** Definitions go one by one: where everything is slow, that takes longest. */
const COPIED_WITHIN_MS = 300_000;

describe('upgrade with logins that are no superusers and hold what docs/privileges says', () => {
  let lockstep: Lockstep;
  let scene: UpgradeScene;

  beforeEach(async () => {
    lockstep = await Lockstep.start();
  }, 120_000);
  afterEach(async () => {
    try {
      await scene.dispose();
    } finally {
      await lockstep.dispose();
    }
  }, 60_000);

  async function set(from: number, to: number): Promise<void> {
    scene = await UpgradeScene.set(from, to);
    await grantDocumented(scene.target, 'target');
    if (from >= 16) await grantDocumented(scene.source, 'source');
  }

  async function register(from: number): Promise<void> {
    await scene.register(lockstep, { target: LOGIN, ...(from >= 16 ? { source: LOGIN } : {}) });
  }

  async function switchOver(name: string): Promise<void> {
    await lockstep.ok('POST', `/v1/upgrades/${name}/approve`, { gate: 'switchover' });
    const switched = await upgradeIn(lockstep, name, ['switched']);
    await operationEnds(lockstep, switched.operationId);
    expect(switched.switchover?.fenceProof).toBe('held');
    await writesContinue(scene);
    await holds(scene, 'target');
    await scene.workload.start();
  }

  it.each(PATHS)(
    '%i -> %i under writes, back, forth again and final: nothing lost',
    async (from, to) => {
      await set(from, to);
      await register(from);
      await scene.workload.start();
      const name = `least-${from}-${to}`;
      await scene.begin(lockstep, name);
      scene.follow(() => lockstep, name);
      const verified = await upgradeIn(lockstep, name, ['awaiting-approval'], COPIED_WITHIN_MS);
      expect(verified.verification?.verdict).toBe('equal');
      expect(verified.preflight.filter(({ passed, observed }) => !passed && /could not/.test(observed))).toEqual([]);
      await switchOver(name);

      await lockstep.ok('POST', `/v1/upgrades/${name}/rollback`);
      const back = await upgradeIn(lockstep, name, ['rolled-back']);
      expect(back.verification?.verdict).toBe('equal');
      await writesContinue(scene);
      await holds(scene, 'source');

      await scene.workload.start();
      await lockstep.ok('POST', `/v1/upgrades/${name}/retry`);
      await upgradeIn(lockstep, name, ['awaiting-approval']);
      await switchOver(name);
      await lockstep.ok('POST', `/v1/upgrades/${name}/finalize`);
      await upgradeIn(lockstep, name, ['finalized']);
      for (const side of ['source', 'target'] as const) expect(await ours(scene[side])).toEqual([]);
      // What it joined for the upgrade it has left again; it stays the administrator of what it created.
      const joined = await scene.target.withSession(DATABASE, (session) =>
        session.rows(
          `select roleid::regrole::text as role from pg_auth_members
            where member = 'lockstep'::regrole and roleid::regrole::text !~ '^pg_' and (inherit_option or set_option)`,
        ),
      );
      expect(joined).toEqual([]);
      await grantDocumented(scene.target, 'after');
      await writesContinue(scene);
    },
    600_000,
  );

  it('aborted while it waits, with passwords given instead of verifiers, it leaves both servers as they were', async () => {
    await set(17, 18);
    await scene.source.run(DATABASE, 'revoke select (rolname, rolpassword) on pg_authid from lockstep');
    await register(17);
    const before = [await catalogsOf(scene.source), await catalogsOf(scene.target)];
    await scene.workload.start();
    await scene.begin(lockstep, 'least-abort');
    const blocked = await upgradeIn(lockstep, 'least-abort', ['blocked']);
    const blockers = blocked.preflight.filter(({ passed, severity }) => !passed && severity === 'blocker');
    expect(blockers.map(({ check, observed }) => [check, observed])).toEqual([
      ['password-verifiers', 'pg_authid cannot be read; needed for orders_writer_a, orders_writer_b, orders_reader'],
    ]);
    await lockstep.ok('POST', '/v1/upgrades/least-abort/abort');
    await upgradeIn(lockstep, 'least-abort', ['aborted']);
    await lockstep.ok('DELETE', '/v1/upgrades/least-abort');
    const { writers, reader } = demoRoles();
    const writerPasswords = Object.fromEntries([...writers, reader].map(({ user, password }) => [user, password]));
    await scene.begin(lockstep, 'least-abort', { writerPasswords });
    const { preflight } = await upgradeIn(lockstep, 'least-abort', ['awaiting-approval'], COPIED_WITHIN_MS);
    expect(preflight.filter(({ passed, observed }) => !passed && /could not/.test(observed))).toEqual([]);
    // Its roles are made by now, and it holds the passwords for the time after the gate.
    expect(Object.values(writerPasswords).sort()).toEqual([...scene.passwords].sort());
    await nothingSecret(lockstep, scene, 'least-abort', [LOGIN.password]);

    // A partition made meanwhile, of which row security lets the login copy nothing, holds no writer up.
    const held = `create table app.held partition of app.measurement for values from ('2039-01-01') to ('2040-01-01');
      alter table app.held enable row level security; alter table app.held force row level security;
      do $$ begin execute (select format('alter table app.held owner to %s', relowner::regrole)
        from pg_class where oid = 'app.measurement'::regclass); end $$`;
    for (const side of ['source', 'target'] as const) await scene[side].run(DATABASE, held);
    await lockstep.ok('POST', '/v1/upgrades/least-abort/approve', { gate: 'switchover' });
    const kept = await eventually(
      async () => {
        const now = await lockstep.ok<UpgradeView>('GET', '/v1/upgrades/least-abort');
        return now.problem && now.awaiting === 'switchover' ? now : null;
      },
      { within: 60_000 },
    );
    expect(kept).toMatchObject({ writeTo: 'source', switchover: null, problem: { code: 'PREREQUISITE_FAILED' } });
    expect(kept.problem!.detail).toContain('app.held (');
    expect((kept.problem as unknown as { hint: string }).hint).toContain('alter role "lockstep" bypassrls');
    for (const side of ['source', 'target'] as const) {
      await scene[side].run(DATABASE, 'alter table app.held disable row level security');
    }
    // No table can be dropped while it is copied.
    await eventually(
      async () => {
        for (const side of ['target', 'source'] as const)
          await scene[side].run(DATABASE, 'drop table if exists app.held');
        return true;
      },
      { within: 60_000 },
    );
    await lockstep.ok('POST', '/v1/upgrades/least-abort/abort');
    await upgradeIn(lockstep, 'least-abort', ['aborted']);
    await nothingSecret(lockstep, scene, 'least-abort', [LOGIN.password]);
    await writesContinue(scene);
    await scene.workload.stop();
    expect([await catalogsOf(scene.source), await catalogsOf(scene.target)]).toEqual(before);
  }, 600_000);
});
