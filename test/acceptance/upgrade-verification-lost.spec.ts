import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { streamedEvents } from '../support/event-stream.js';
import { eventually } from '../support/eventually.js';
import { Lockstep } from '../support/lockstep.js';
import type { TestServer } from '../support/postgres-fleet.js';
import { operationEnds } from '../support/upgrade-proof.js';
import { DATABASE, upgradeIn, UpgradeScene, type UpgradeView } from '../support/upgrade-scene.js';

/** A row of which both sides have the same, and what makes them differ where no stream is read. */
const SPOIL = 'update app.account set balance = balance + 1 where id = 1';
const MEND = 'update app.account set balance = balance - 1 where id = 1';

/** While a gate waits, what the last verification rests on is lost: nothing may be built on it any more. */
describe('an upgrade whose verification is overtaken while it waits', () => {
  let lockstep: Lockstep;
  let scene: UpgradeScene;

  beforeAll(async () => {
    lockstep = await Lockstep.start();
  }, 60_000);
  afterAll(() => lockstep.dispose());
  afterEach(() => scene.dispose());

  it.each([
    ['dropped', 'source'],
    ['dropped', 'target'],
    ['invalidated', 'source'],
  ] as const)(
    '%s on the %s: never equal across the gap; verified anew',
    async (how, side) => {
      const { name, before } = await waiting(`${how}-${side}`);

      // The gap, and a difference in it. Of the source's stream it is hidden by taking the target's away as well.
      if (how === 'dropped') {
        await drop(scene[side], side === 'source' ? 'v' : 's');
        if (side === 'source') await drop(scene.target, 's');
      } else {
        await invalidate(scene.source);
        await drop(scene.target, 's');
      }
      await scene.target.run(DATABASE, SPOIL);

      await refusedAsDifferent(name);
      await scene.target.run(DATABASE, MEND);
      await switchesVerifiedAnew(name, before);
      const events = await streamedEvents(lockstep, `/v1/upgrades/${name}/events`, {
        enough: (seen) => seen.some(({ type }) => type === 'verification-lost'),
      });
      expect(events.find(({ type }) => type === 'verification-lost')!.data.reason).toContain(side);
    },
    240_000,
  );

  it('a write on the target: refused while it stands, forgotten once it is undone and verified', async () => {
    const { name, before } = await waiting('local-write');
    await scene.target.run(DATABASE, SPOIL);
    await refusedAsDifferent(name);
    await scene.target.run(DATABASE, MEND);
    await switchesVerifiedAnew(name, before);
  }, 240_000);

  it('a source on another timeline is verified anew; a write on the target that is undone stands in nobody’s way', async () => {
    const { name, before: first } = await waiting('undone-write');
    await scene.source.toNextTimeline();
    lockstep.arm('upgrade.fence.begin=throw');
    await lockstep.ok('POST', `/v1/upgrades/${name}/approve`, { gate: 'switchover' });
    const before = await eventually(
      async () => {
        const view = await lockstep.ok<UpgradeView>('GET', `/v1/upgrades/${name}`);
        expect(view).toMatchObject({ awaiting: 'switchover', writeTo: 'source' });
        expect(view.problem!.detail).toContain('failpoint upgrade.fence.begin');
        return view;
      },
      { within: 90_000 },
    );
    lockstep.arm();
    expect(before.verification).toMatchObject({ verdict: 'equal' });
    expect(before.verification!.id).not.toBe(first.verification!.id);
    const events = await streamedEvents(lockstep, `/v1/upgrades/${name}/events`, {
      enough: (seen) => seen.some(({ type }) => type === 'verification-lost'),
    });
    expect(events.find(({ type }) => type === 'verification-lost')!.data.reason).toContain('timeline');

    await scene.target.run(DATABASE, SPOIL);
    await scene.target.run(DATABASE, MEND);
    await switchesVerifiedAnew(name, before);
  }, 240_000);

  async function waiting(name: string): Promise<{ name: string; before: UpgradeView }> {
    scene = await UpgradeScene.set(17, 18);
    for (const end of ['source', 'target'] as const) {
      const { host, port, user, password } = scene[end];
      const body = { name: `${name}-${end}`, host, port, user, password, database: 'postgres' };
      await lockstep.ok('POST', '/v1/servers', { ...body, tls: { mode: 'disable' } });
    }
    await lockstep.ok('POST', '/v1/upgrades', {
      name,
      source: { server: `${name}-source`, database: DATABASE },
      target: { server: `${name}-target`, database: DATABASE },
      traffic: { kind: 'sql-fence' },
    });
    const before = await upgradeIn(lockstep, name, ['awaiting-approval']);
    expect(before.verification!.verdict).toBe('equal');
    return { name, before };
  }

  async function refusedAsDifferent(name: string): Promise<void> {
    await lockstep.ok('POST', `/v1/upgrades/${name}/approve`, { gate: 'switchover' });
    const refused = await eventually(
      async () => {
        const view = await lockstep.ok<UpgradeView>('GET', `/v1/upgrades/${name}`);
        expect(view.phase).not.toBe('switched');
        return view.problem && view.awaiting === 'switchover' ? view : null;
      },
      { within: 60_000 },
    );
    expect(refused).toMatchObject({ writeTo: 'source', verification: { verdict: 'different' } });
    expect(refused.problem!.detail).toContain('app.account different');
  }

  async function switchesVerifiedAnew(name: string, before: UpgradeView): Promise<void> {
    await lockstep.ok('POST', `/v1/upgrades/${name}/approve`, { gate: 'switchover' });
    const switched = await upgradeIn(lockstep, name, ['switched']);
    await operationEnds(lockstep, switched.operationId);
    expect(switched.verification).toMatchObject({ verdict: 'equal' });
    expect(switched.verification!.id).not.toBe(before.verification!.id);
  }

  /** Our reader holds it and comes back: it is ended until the slot is free for a moment. */
  async function drop(server: TestServer, letter: 'v' | 's'): Promise<void> {
    await server.withSession(DATABASE, async (session) => {
      await eventually(
        async () => {
          await session.execute(
            `select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name like 'lockstep\\_${letter}\\_%' and active`,
          );
          await session.execute(
            `select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name like 'lockstep\\_${letter}\\_%'`,
          );
          return true;
        },
        { within: 20_000, every: 5 },
      );
    });
  }

  /** Nothing was confirmed since the verification, so this slot is the one that is furthest behind. */
  async function invalidate(server: TestServer): Promise<void> {
    await server.run('postgres', `alter system set max_slot_wal_keep_size to '16MB'`);
    await server.run('postgres', 'select pg_reload_conf()');
    await server.withSession(DATABASE, async (session) => {
      const slots = () =>
        session.rows<{ reader: boolean; wal: string; confirmed: string }>(
          `select slot_name like 'lockstep\\_v\\_%' as reader, wal_status as wal, confirmed_flush_lsn::text as confirmed from pg_replication_slots`,
        );
      await eventually(
        async () => {
          await session.execute(`select pg_logical_emit_message(false, 'fill', repeat('x', 1000000)), pg_switch_wal()`);
          const { lsn } = await session.row<{ lsn: string }>('select pg_current_wal_lsn()::text as lsn');
          // The subscription's own slot must keep up: it is not the one to be lost.
          await eventually(
            async () =>
              (
                await session.row<{ near: boolean }>(
                  `select bool_and(confirmed_flush_lsn >= $1::pg_lsn) as near from pg_replication_slots where slot_name not like 'lockstep\\_v\\_%'`,
                  [lsn],
                )
              ).near,
            { within: 20_000 },
          );
          await session.execute('checkpoint');
          const rows = await slots();
          expect(rows.find(({ reader }) => !reader)!.wal).not.toBe('lost');
          return rows.find(({ reader }) => reader)?.wal === 'lost';
        },
        { within: 60_000, every: 5 },
      );
    });
  }
});
