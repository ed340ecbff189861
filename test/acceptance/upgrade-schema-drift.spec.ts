import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { streamedEvents } from '../support/event-stream.js';
import { eventually } from '../support/eventually.js';
import { Lockstep } from '../support/lockstep.js';
import { holds, operationEnds, writesContinue } from '../support/upgrade-proof.js';
import { DATABASE, upgradeIn, UpgradeScene, type UpgradeView } from '../support/upgrade-scene.js';

const NAME = 'drift';
const PATH = `/v1/upgrades/${NAME}`;
const MIGRATION = `
  create table app.nightly_2 partition of app.nightly for values from (100) to (200);
  create index nightly_2_day on app.nightly_2 (day);
  grant select on app.nightly to pg_monitor;
  create or replace function app.answer() returns integer language sql as 'select 2'`;

/** Schemas go on being changed while an upgrade waits; nothing of that may cost a pause, or close the way back. */
describe('the schema changes while an upgrade is on its way', () => {
  let lockstep: Lockstep;
  let scene: UpgradeScene;

  beforeAll(async () => {
    [lockstep, scene] = await Promise.all([Lockstep.start(), UpgradeScene.set(14, 18)]);
    await scene.source.run(
      DATABASE,
      `create table app.nightly (id integer, day integer, primary key (id, day)) partition by range (day);
       create table app.nightly_1 partition of app.nightly for values from (0) to (100);
       insert into app.nightly values (1, 5);
       create table app.remade (id integer primary key, word text);
       insert into app.remade values (1, 'One');
       create function app.answer() returns integer language sql as 'select 1'`,
    );
    await scene.register(lockstep);
    await scene.workload.start();
    await scene.begin(lockstep, NAME);
    scene.follow(() => lockstep, NAME);
    await upgradeIn(lockstep, NAME, ['awaiting-approval']);
  }, 120_000);
  afterAll(async () => {
    await lockstep.dispose();
    await scene.dispose();
  });

  /** Approves, and answers the problem with which the gate is awaited again; no writer was stopped. */
  async function refused(): Promise<{ detail: string; hint?: string }> {
    const stopped: unknown[] = [];
    const watching = setInterval(() => scene.writeTo === 'source' || stopped.push(scene.writeTo), 10);
    await lockstep.ok('POST', `${PATH}/approve`, { gate: 'switchover' });
    const view = await eventually(
      async () => {
        const now = await lockstep.ok<UpgradeView>('GET', PATH);
        return now.phase === 'awaiting-approval' && now.problem ? now : null;
      },
      { within: 60_000 },
    );
    clearInterval(watching);
    expect(stopped).toEqual([]);
    return view.problem!;
  }

  it('rows that changed where no change stream shows it are found before the fence', async () => {
    const whileDetached = `
      alter table app.nightly detach partition app.nightly_1;
      update app.nightly_1 set day = 6;
      alter table app.nightly attach partition app.nightly_1 for values from (0) to (100)`;
    const rewritten = 'alter table app.remade alter word type text using lower(word)';
    for (const [sql, table] of [
      [whileDetached, 'app.nightly_1'],
      [rewritten, 'app.remade'],
    ] as const) {
      await scene.source.run(DATABASE, sql);
      expect((await refused()).detail).toContain(`${table} different`);
      await scene.target.run(DATABASE, sql);
    }
    // With nothing else changed: as the same definition, another table is there that nobody publishes.
    const anew = 'drop table app.remade; create table app.remade (id integer primary key, word text)';
    await scene.source.run(DATABASE, `begin; ${anew}; insert into app.remade values (2, 'two'); commit`);
    expect((await refused()).detail).toContain('changed table app.remade');
    await scene.target.run(DATABASE, anew);
  }, 180_000);

  it('what the target has not got is refused before the fence, and let through once it has', async () => {
    await scene.source.run(DATABASE, `${MIGRATION}; insert into app.nightly values (1, 150)`);
    const problem = await refused();
    for (const change of [
      'added table app.nightly_2',
      'added index app.nightly_2_day',
      'changed function app.answer()',
      'granted pg_monitor SELECT on table app.nightly',
    ]) {
      expect(problem.detail).toContain(change);
    }
    await scene.target.run(DATABASE, MIGRATION);
    await scene.source.run(DATABASE, 'create table app.left_behind (id integer primary key)');
    await scene.target.run(DATABASE, 'create table app.left_behind (id integer primary key)');
    expect((await refused()).detail).toContain('rows would be lost: app.left_behind');
    await scene.source.run(DATABASE, 'drop table app.left_behind');
    await scene.target.run(DATABASE, 'drop table app.left_behind');

    await lockstep.ok('POST', `${PATH}/approve`, { gate: 'switchover' });
    const switched = await upgradeIn(lockstep, NAME, ['switched']);
    await operationEnds(lockstep, switched.operationId);
    await writesContinue(scene);
    await holds(scene, 'target');
    const rows = await scene.target.withSession(DATABASE, (session) =>
      session.rows('select * from app.nightly order by day'),
    );
    expect(rows).toEqual([
      { id: 1, day: 6 },
      { id: 1, day: 150 },
    ]);
    const remade = await scene.target.withSession(DATABASE, (session) => session.rows('select * from app.remade'));
    expect(remade).toEqual([{ id: 2, word: 'two' }]);
    const steps = (await lockstep.ok<UpgradeView>('GET', PATH)).steps;
    const followed = steps.find(({ name }) => name === 'pre-switchover')!.detail!.schemaChangesFollowed;
    expect(followed).toContain('added index app.nightly_2_day');
  }, 180_000);

  it('a grant on the opened target does not stand in the way back, and is named', async () => {
    await scene.workload.start();
    await scene.target.run(DATABASE, 'grant select on app.account to pg_monitor');
    await scene.target.run(DATABASE, 'revoke select on app.account from pg_monitor');
    await scene.target.run(DATABASE, 'grant update on app.account to pg_monitor');
    await lockstep.ok('POST', `${PATH}/rollback`);
    await upgradeIn(lockstep, NAME, ['rolled-back']);
    const named = 'granted pg_monitor UPDATE on table app.account';
    const events = await streamedEvents(lockstep, `${PATH}/events`, {
      enough: (seen) => seen.some(({ data }) => JSON.stringify(data).includes(named)),
    });
    expect(events.some(({ type }) => type === 'grants-not-brought-back')).toBe(true);
  }, 120_000);
});
