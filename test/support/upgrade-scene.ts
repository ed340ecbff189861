import { createDemoDatabase, demoRoles } from '../../demo/workload/schema.js';
import { Workload } from '../../demo/workload/workload.js';
import { eventually } from './eventually.js';
import { Lockstep } from './lockstep.js';
import { TestServer } from './postgres-fleet.js';

export interface UpgradeView {
  name: string;
  phase: string;
  awaiting: string | null;
  writeTo: 'source' | 'target' | null;
  operationId: string;
  steps: { name: string; state: string; detail: Record<string, unknown> | null }[];
  switchover: { fenceProof: string | null; writePauseMs: number | null } | null;
  rollback: {
    fenceProof: string | null;
    verifiedLsn: string | null;
    keysChecked: number | null;
    writePauseMs: number | null;
  } | null;
  verification: { id: string; verdict: string | null; verifiedLsn: string | null } | null;
  preflight: { check: string; passed: boolean; severity: string; observed: string }[];
  problem: { code: string; detail: string } | null;
}

export const DATABASE = 'orders';
/** Between looks at an upgrade: each costs the service as much as a small step of it. */
export const LOOK_MS = 250;

export interface SceneOptions {
  /** Of the demo database, roughly. */
  rows?: number;
  /** Transactions of all writers together. */
  perSecond?: number;
  /** All of the demo's sequences: each of its 200 counters is a few statements of every restore. */
  allSequences?: boolean;
}

const { writers, reader } = demoRoles();
const LOGINS = [...writers, reader];

/** Left are those that the writers draw from, and one of each shape. */
const DROP_UNUSED_COUNTERS = `do $$ declare i int; begin
  for i in select n from generate_series(16, 200) n where n % 5 <> 3 or n > 123 loop
    execute format('drop sequence app.counter_%s', lpad(i::text, 3, '0'));
  end loop;
end $$`;

/** Two servers, a loaded database on the first, and writers that follow `writeTo`. */
export class UpgradeScene {
  writeTo: 'source' | 'target' | null = 'source';
  /** Of the roles that writers and readers log in as. */
  readonly passwords = LOGINS.map(({ password }) => password);
  private follower: NodeJS.Timeout | null = null;

  private constructor(
    readonly source: TestServer,
    readonly target: TestServer,
    readonly workload: Workload,
    private readonly current: { scene: UpgradeScene | null },
  ) {
    this.current.scene = this;
  }

  static async set(
    sourceMajor: number,
    targetMajor: number,
    { rows = 3000, perSecond = 30, allSequences = false }: SceneOptions = {},
  ): Promise<UpgradeScene> {
    const [source, target] = await Promise.all([TestServer.start(sourceMajor), TestServer.start(targetMajor)]);
    await createDemoDatabase(source.target(), DATABASE, { rows });
    if (!allSequences) await source.run(DATABASE, DROP_UNUSED_COUNTERS);
    await target.freshDatabase(DATABASE);
    const current: { scene: UpgradeScene | null } = { scene: null };
    const workload = new Workload({
      writers: 3,
      perSecond,
      writeTo: () => {
        const scene = current.scene;
        if (!scene?.writeTo) return null;
        const { host, port } = scene[scene.writeTo];
        return { host, port, database: DATABASE };
      },
    });
    return new UpgradeScene(source, target, workload, current);
  }

  /** @param more of each registration, instead of the servers' superuser and no TLS */
  async register(
    lockstep: Lockstep,
    more: Partial<Record<'source' | 'target', Record<string, unknown>>> = {},
  ): Promise<void> {
    for (const name of ['source', 'target'] as const) {
      const { host, port, user, password } = this[name];
      const body = { name, host, port, user, password, database: 'postgres', tls: { mode: 'disable' } };
      await lockstep.ok('POST', '/v1/servers', { ...body, ...more[name] });
    }
  }

  async begin(lockstep: Lockstep, name: string, more: Record<string, unknown> = {}): Promise<UpgradeView> {
    return await lockstep.ok<UpgradeView>('POST', '/v1/upgrades', {
      name,
      source: { server: 'source', database: DATABASE },
      target: { server: 'target', database: DATABASE },
      traffic: { kind: 'sql-fence' },
      ...more,
    });
  }

  /** Lets the writers go wherever the upgrade says, until `unfollow`. The service may be killed meanwhile. */
  follow(lockstep: () => Lockstep, name: string): void {
    const look = (): void => {
      lockstep()
        .request<UpgradeView>('GET', `/v1/upgrades/${name}`)
        .then(
          ({ status, body }) => {
            if (status === 200) this.writeTo = body.writeTo;
          },
          () => {},
        )
        .finally(() => {
          if (this.follower) this.follower = setTimeout(look, LOOK_MS);
        });
    };
    this.follower = setTimeout(look, 0);
  }

  unfollow(): void {
    if (this.follower) clearTimeout(this.follower);
    this.follower = null;
  }

  /** Ends the upgrade, in whatever phase it is, and takes it and both servers out of the service, for the next test. */
  async leave(lockstep: Lockstep, name: string): Promise<void> {
    lockstep.arm();
    const path = `/v1/upgrades/${name}`;
    await eventually(
      async () => {
        const { status } = await lockstep.request('DELETE', path);
        if (status === 204 || status === 404) return true;
        await lockstep.request('POST', `${path}/abort`);
        await lockstep.request('POST', `${path}/finalize`);
        throw new Error(`not removed: ${status}`);
      },
      { within: 60_000, every: 200 },
    );
    for (const server of ['source', 'target']) await lockstep.ok('DELETE', `/v1/servers/${server}`);
  }

  async dispose(): Promise<void> {
    this.unfollow();
    await this.workload.stop(0).catch(() => {});
    await Promise.all([this.source.stop(), this.target.stop()]);
  }
}

/** Waits for one of the phases; a phase from which nothing follows by itself fails at once, with its problem. */
export async function upgradeIn(
  lockstep: Lockstep,
  name: string,
  phases: string[],
  within = 120_000,
): Promise<UpgradeView> {
  const dead = ['failed', 'blocked', 'aborted', 'finalized', 'rolled-back'].filter((phase) => !phases.includes(phase));
  let ended: UpgradeView | null = null;
  const view = await eventually(
    async () => {
      const { status, body } = await lockstep.request<UpgradeView>('GET', `/v1/upgrades/${name}`);
      if (status !== 200) throw new Error(`status ${status}`);
      if (dead.includes(body.phase)) {
        ended = body;
        return body;
      }
      if (phases.includes(body.phase)) return body;
      throw new Error(`phase ${body.phase}: ${JSON.stringify(body.problem)}`);
    },
    { within, every: LOOK_MS },
  );
  if (ended) throw new Error(`the upgrade is ${view.phase}: ${JSON.stringify(view.problem)}\n${lockstep.logTail()}`);
  return view;
}
