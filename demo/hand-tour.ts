import { setTimeout as delay } from 'node:timers/promises';
import type { DemoServer } from './demo-server.js';
import type { LockstepProcess } from './lockstep-process.js';
import { upgradeBody } from './runbook.js';
import { count, type Screen } from './screen.js';
import type { Stage } from './stage.js';
import type { Page, UpgradeView } from './upgrade-view.js';
import { held } from './workload/ledger.js';
import { createDemoDatabase, type Endpoint } from './workload/schema.js';
import { Workload } from './workload/workload.js';

const POLL_MS = 100;

export interface Tour {
  stage: Stage;
  screen: Screen;
  lockstep: LockstepProcess;
  source: { name: string; server: DemoServer };
  target: { name: string; server: DemoServer };
}

/**
 * A second, smaller database with a writer of its own, for an upgrade by hand. Any upgrade whose name begins with
 * "shop" is followed. Runs until the signal, then says whether everything acknowledged is where the writer wrote last.
 */
export async function handTour({ stage, screen, lockstep, source, target }: Tour, signal: AbortSignal): Promise<void> {
  const database = 'shop';
  await createDemoDatabase(source.server.admin(), database, { rows: 3000, prefix: database });
  await target.server.createDatabase(database);
  const [before, after] = [source.server, target.server];
  let writeTo: Endpoint | null = before.endpoint(database);
  const workload = new Workload({ writeTo: () => writeTo, writers: 2, perSecond: 20, prefix: database });
  stage.onClose(() => workload.stop(0));
  await workload.start();

  const plan = {
    name: 'shop-14-to-18',
    source: { server: source.name, database },
    target: { server: target.name, database },
  };
  screen.plain(instructions(lockstep, JSON.stringify(upgradeBody(plan), null, 2)));
  let told = 'source';
  while (!signal.aborted) {
    const to = await shopWritesTo(lockstep).catch(() => null);
    writeTo = to === 'source' ? before.endpoint(database) : to === 'target' ? after.endpoint(database) : null;
    if (to && to !== told) {
      told = to;
      screen.line(`shop: the writers now write to the ${to}`);
    }
    const { acknowledged, longestPauseMs } = workload.figures;
    const where = to ?? 'nobody: fenced';
    screen.status(`shop: ${count(acknowledged)} writes -> ${where}, longest pause ${longestPauseMs.toFixed(0)} ms`);
    await delay(POLL_MS, undefined, { signal }).catch(() => undefined);
  }

  screen.line('stopping');
  await workload.stop();
  const verdict = await (told === 'source' ? before : after).withClient(database, (client) =>
    workload.ledger.check(client),
  );
  const { acknowledged, lost, duplicated, mismatches } = verdict;
  screen.line(
    `shop: ${count(acknowledged)} acknowledged writes on the ${told}, lost ${lost.length}, duplicated ${duplicated.length}` +
      (held(verdict) ? '' : `, ${mismatches.length} different: ${mismatches.slice(0, 5).join('; ')}`),
  );
}

/** An upgrade that has moved the writers, or holds them, outweighs those that left them where they were. */
async function shopWritesTo({ api }: LockstepProcess): Promise<UpgradeView['writeTo']> {
  const { items } = await api.get<Page<{ name: string }>>('/v1/upgrades');
  for (const { name } of items.filter((upgrade) => upgrade.name.startsWith('shop'))) {
    const { writeTo } = await api.get<UpgradeView>(`/v1/upgrades/${encodeURIComponent(name)}`);
    if (writeTo !== 'source') return writeTo;
  }
  return 'source';
}

function instructions({ url, token }: LockstepProcess, body: string): string {
  return `
Everything stays up until Ctrl-C.

  Swagger UI   ${url}/docs
  API          ${url}/v1
  Token        ${token}

Now by hand: the database "shop" is being written to on the PostgreSQL 14. In Swagger UI choose Authorize, paste the
token, and send POST /v1/upgrades with

${body}

Watch GET /v1/upgrades/shop-14-to-18 until "awaiting" is "switchover", then POST /v1/upgrades/shop-14-to-18/approve
with {"gate": "switchover"}: the writers move over, as shown below. POST .../rollback brings them back with every write
made meanwhile; POST .../finalize ends it. The upgrade just done: GET /v1/upgrades/orders-14-to-18/report
`;
}
