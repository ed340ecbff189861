import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { Lockstep } from '../support/lockstep.js';
import { catalogsOf, operationEnds } from '../support/upgrade-proof.js';
import { upgradeIn, UpgradeScene, type UpgradeView } from '../support/upgrade-scene.js';

interface Statement {
  server: string;
  database: string;
  sql: string;
  lock: string;
  transactional: boolean;
}
interface Plan {
  does: string;
  then: string | null;
  steps: { step: string; does: string; sides: string[]; statements: Statement[] }[];
}
interface AuditEvent {
  action: string;
  outcome: string;
  sql: string[];
}

const NAME = 'planned';
const UPGRADE = `/v1/upgrades/${NAME}`;

describe('dry runs of every action on an upgrade', () => {
  let lockstep: Lockstep;
  let scene: UpgradeScene;

  beforeAll(async () => {
    [lockstep, scene] = await Promise.all([Lockstep.start(), UpgradeScene.set(14, 18, { rows: 200 })]);
    await scene.register(lockstep);
  }, 120_000);
  afterAll(async () => {
    await lockstep?.dispose();
    await scene?.dispose();
  });

  /** The phase alone still shows the gate before, for a moment. */
  const awaits = (name: string, gate: string) =>
    eventually(
      async () => {
        const { awaiting, problem } = await lockstep.ok<UpgradeView>('GET', `/v1/upgrades/${name}`);
        if (awaiting !== gate) throw new Error(JSON.stringify(problem));
        return true;
      },
      { within: 120_000, every: 100 },
    );
  const view = () => lockstep.ok<UpgradeView>('GET', UPGRADE);
  const audit = async () => (await lockstep.ok<{ items: AuditEvent[] }>('GET', '/v1/audit-events?limit=200')).items;

  /** Everything that a dry run must leave as it is: both servers, the upgrade, its events, the operations. */
  async function everything(): Promise<unknown> {
    return [
      await Promise.all([catalogsOf(scene.source), catalogsOf(scene.target)]),
      await view(),
      (await lockstep.ok<{ items: { id: string; state: string }[] }>('GET', '/v1/operations')).items.map((each) => [
        each.id,
        each.state,
      ]),
    ];
  }

  /** Asks for a dry run under the key that the real request will come with. */
  async function dryRun(action: string, body?: unknown): Promise<Plan> {
    const before = await everything();
    const answer = await lockstep.request<Plan>('POST', `${UPGRADE}/${action}?dryRun=true`, body, keyOf(action));
    expect([answer.status, answer.body]).toEqual([200, expect.objectContaining({ does: expect.any(String) })]);
    expect(answer.headers.get('location')).toBeNull();
    expect(await everything()).toEqual(before);
    expect((await audit())[0]).toMatchObject({ action: `upgrades.${action}`, outcome: 'dry-run' });
    for (const { step, does, sides, statements } of answer.body.steps) {
      expect([step, does]).not.toEqual([step, '']);
      for (const { server } of statements) expect(sides).toContain(server);
    }
    expect(JSON.stringify(answer.body)).not.toContain(scene.source.password);
    return answer.body;
  }

  const keyOf = (action: string) => ({ 'Idempotency-Key': `real-${action}` });

  async function really(action: string, body?: unknown): Promise<void> {
    const answer = await lockstep.request('POST', `${UPGRADE}/${action}`, body, keyOf(action));
    expect([answer.status, answer.body.detail]).toEqual([action === 'approve' ? 200 : 202, undefined]);
  }

  /** Whatever was planned was run, letter by letter, by the audit of the steps. */
  async function wasRun(plan: Plan): Promise<void> {
    const run = (await audit()).filter(({ action }) => action.startsWith('upgrades.')).flatMap(({ sql }) => sql);
    // The audit hides connection strings in a way of its own.
    const blind = (sql: string) => sql.replaceAll(/ connection .*? publication /g, ' publication ');
    const text = blind(run.join('\n'));
    const missing = plan.steps
      .flatMap(({ statements }) => statements.map(({ sql }) => sql))
      .filter((sql) => !text.includes(blind(sql)));
    expect(missing).toEqual([]);
  }

  /** Publishing waits for whoever holds a table, so inside a fence it finds nothing to do. */
  async function publishedAhead(inside: string, before?: string): Promise<void> {
    const published = (await audit())
      .filter(({ sql }) => sql.some((text) => /\b(create publication|alter publication \S+ add) /.test(text)))
      .map(({ action }) => action);
    expect(published).not.toContain(`upgrades.${inside}`);
    if (before !== undefined) expect(published).toContain(`upgrades.${before}`);
  }

  /** An action that does not fit is refused by the dry run with the words of the real one. */
  async function refusedAlike(...requests: [string, string, unknown?][]): Promise<void> {
    for (const [method, path, body] of requests) {
      const real = await lockstep.request(method, `${UPGRADE}${path}`, body);
      const dry = await lockstep.request(method, `${UPGRADE}${path}?dryRun=true`, body);
      expect([path, real.status, real.body.code]).toEqual([path, 409, 'WRONG_STATE']);
      const { requestId: _one, ...told } = real.body;
      expect(dry.body).toEqual({ ...told, requestId: expect.any(String) });
    }
  }

  it('tell of each what it comes to, change nothing, and are refused where it is', async () => {
    const gates = ['copy', 'switchover'];
    await scene.begin(lockstep, NAME, { gates });
    await awaits(NAME, 'copy');
    await refusedAlike(
      ['POST', '/approve', { gate: 'switchover' }],
      ['POST', '/rollback'],
      ['POST', '/finalize'],
      ['POST', '/retry'],
      ['DELETE', ''],
    );
    const abort = await dryRun('abort');
    const undone = ['publication', 'marker-table', 'schema-pre-data', 'replica-identity', 'roles'];
    expect(abort.steps.map(({ step }) => step)).toEqual(undone);

    const copy = await dryRun('approve', { gate: 'copy' });
    expect(copy.then).toContain('switchover');
    expect(copy.steps[0]).toMatchObject({ step: 'replication-slot', statements: [{ transactional: false }] });
    await lockstep.ok('POST', `${UPGRADE}/approve`, { gate: 'copy' });
    await awaits(NAME, 'switchover');
    await wasRun(copy);

    const switchover = await dryRun('approve', { gate: 'switchover' });
    const fence = switchover.steps.find(({ step }) => step === 'fence')!;
    expect(fence.statements.filter(({ sql }) => /^alter role "\w+" nologin$/.test(sql)).length).toBeGreaterThan(0);
    const published = (plan: Plan) => plan.steps.find(({ step }) => step === 'pre-switchover')!.statements;
    expect(published(switchover)).toMatchObject([
      { server: 'target', sql: expect.stringMatching(/_back" for table /) },
    ]);

    // A fence that is taken back leaves the publication of the way back, which is not made twice.
    lockstep.arm('upgrade.drain.begin=throw');
    await lockstep.ok('POST', `${UPGRADE}/approve`, { gate: 'switchover' });
    await eventually(async () => (await view()).problem?.detail === 'failpoint upgrade.drain.begin', {
      within: 60_000,
    });
    await awaits(NAME, 'switchover');
    lockstep.arm();
    const again = await dryRun('approve', { gate: 'switchover' });
    expect(published(again)).toEqual([]);
    await really('approve', { gate: 'switchover' });
    await operationEnds(lockstep, (await upgradeIn(lockstep, NAME, ['switched'])).operationId);
    await wasRun(switchover);
    await publishedAhead('way-back', 'pre-switchover');
    await refusedAlike(
      ['POST', '/abort'],
      ['POST', '/retry'],
      ['POST', '/approve', { gate: 'switchover' }],
      ['DELETE', ''],
    );

    const finalize = await dryRun('finalize');
    expect(finalize.steps.map(({ step }) => step)).toEqual(['finalize']);
    const rollback = await dryRun('rollback');
    expect(rollback.steps.map(({ step }) => step)).toEqual(
      expect.arrayContaining(['rollback-fence', 'rollback-turn', 'rollback-open', 'rollback-forward']),
    );
    await really('rollback');
    await operationEnds(lockstep, (await upgradeIn(lockstep, NAME, ['rolled-back'])).operationId);
    await wasRun(rollback);
    await publishedAhead('rollback-turn');

    const retry = await dryRun('retry');
    // The copy was approved and made; nobody is asked for it again.
    expect(retry.steps.map(({ step }) => step)).toEqual(['catch-up', 'verification']);
    expect(retry.then).toContain('switchover');
    await really('retry');
    await awaits(NAME, 'switchover');

    const last = await dryRun('abort');
    expect(last.steps.map(({ step }) => step)).toEqual(expect.arrayContaining(['subscription', 'replication-slot']));
    await really('abort');
    await upgradeIn(lockstep, NAME, ['aborted']);
    await refusedAlike(['POST', '/abort'], ['POST', '/rollback'], ['POST', '/finalize'], ['POST', '/retry']);
    expect(await lockstep.ok('DELETE', `${UPGRADE}?dryRun=true`)).toMatchObject({ statements: [] });
    expect((await view()).phase).toBe('aborted');
    expect((await lockstep.request('DELETE', UPGRADE)).status).toBe(204);
  }, 240_000);

  it('say so when a server that has to be looked at is away', async () => {
    await scene.begin(lockstep, 'away', { gates: ['switchover'] });
    await awaits('away', 'switchover');
    await scene.source.crash();
    try {
      const plan = await lockstep.ok<Plan>('POST', '/v1/upgrades/away/approve?dryRun=true', { gate: 'switchover' });
      const fence = plan.steps.find(({ step }) => step === 'fence')!;
      expect(fence).toMatchObject({ does: expect.stringContaining('cannot be told now'), statements: [] });
    } finally {
      await scene.source.restart();
    }
  }, 120_000);
});
