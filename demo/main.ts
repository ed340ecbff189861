import { setTimeout as delay } from 'node:timers/promises';
import { compareDatabases } from './compare-databases.js';
import { DemoServer } from './demo-server.js';
import { handTour } from './hand-tour.js';
import { LockstepProcess } from './lockstep-process.js';
import { broken, type Outcome, summary } from './outcome.js';
import { runUpgrade } from './runbook.js';
import { count, Screen } from './screen.js';
import { Stage } from './stage.js';
import type { UpgradeView, VerificationView } from './upgrade-view.js';
import { createDemoDatabase, type Endpoint } from './workload/schema.js';
import { Workload } from './workload/workload.js';

const DATABASE = 'orders';
const UPGRADE = 'orders-14-to-18';
const SOURCE = 'orders-14';
const TARGET = 'orders-18';
const WRITERS = 6;
const WRITES_PER_SECOND = 250;
/** How long the writers go on after the switch. */
const AFTERWARDS_MS = 4000;
/** How long the way back may take to bring the last writes to the old server. */
const WAY_BACK_WITHIN_MS = 20_000;

const screen = new Screen();

interface Cast {
  source: DemoServer;
  target: DemoServer;
  lockstep: LockstepProcess;
}

async function setUp(stage: Stage): Promise<Cast> {
  screen.line('starting PostgreSQL 14 and 18 and Lockstep');
  const [source, target, lockstep] = await Promise.all([
    DemoServer.start(stage, 14).then(async (server) => {
      await createDemoDatabase(server.admin(), DATABASE);
      return server;
    }),
    DemoServer.start(stage, 18).then(async (server) => {
      await server.createDatabase(DATABASE);
      return server;
    }),
    LockstepProcess.start(stage),
  ]);
  screen.line(`Lockstep is ready at ${lockstep.url}; database "${DATABASE}" is loaded`);
  return { source, target, lockstep };
}

/** Runs the demo up to the table at the end. Answers what did not hold. */
async function perform({ source, target, lockstep }: Cast, stage: Stage, signal: AbortSignal): Promise<string[]> {
  const { api } = lockstep;
  let writeTo: Endpoint | null = source.endpoint(DATABASE);
  const workload = new Workload({ writeTo: () => writeTo, writers: WRITERS, perSecond: WRITES_PER_SECOND });
  stage.onClose(() => workload.stop(0));
  await workload.start();
  screen.line(`${WRITERS} writers at ${WRITES_PER_SECOND} transactions per second`);

  const register = ({ host, port, user, password }: DemoServer, name: string) =>
    api.post<{ version: string }>('/v1/servers', {
      ...{ name, host, port, user, password },
      ...{ database: 'postgres', tls: { mode: 'disable' } },
    });
  const sourceVersion = (await register(source, SOURCE)).version;
  const targetVersion = (await register(target, TARGET)).version;
  screen.line(`registered ${SOURCE} (${sourceVersion}) and ${TARGET} (${targetVersion})`);

  const upgrade = await runUpgrade(
    api,
    {
      name: UPGRADE,
      source: { server: SOURCE, database: DATABASE },
      target: { server: TARGET, database: DATABASE },
    },
    {
      screen,
      signal,
      onWriteTo: (to) => {
        writeTo = to && (to === 'source' ? source : target).endpoint(DATABASE);
      },
      clients: () => `${count(workload.figures.acknowledged)} writes -> ${clientsOn(writeTo, source)}`,
    },
  );
  screen.line('switched: clients write to the target');
  await delay(AFTERWARDS_MS, undefined, { signal });
  await workload.stop();
  screen.line('writers stopped; checking every acknowledged write and comparing both servers');

  const ledger = await target.withClient(DATABASE, (client) => workload.ledger.check(client));
  const comparison = await compareDatabases(source, target, DATABASE, WAY_BACK_WITHIN_MS);
  const outcome: Outcome = {
    ...{ sourceVersion, targetVersion, ledger, comparison },
    upgrade: await api.get<UpgradeView>(`/v1/upgrades/${UPGRADE}`),
    verification: await api.get<VerificationView>(`/v1/verifications/${upgrade.verification!.id}`),
    clients: { ...workload.figures, writers: WRITERS },
    seconds: screen.elapsed,
  };
  const report = await api.markdown(`/v1/upgrades/${UPGRADE}/report`);
  const failures = broken(outcome);
  if (!report.includes(UPGRADE)) failures.push('the report does not name the upgrade');
  screen.plain(`\n${summary(outcome)}\n`);
  return failures;
}

function clientsOn(endpoint: Endpoint | null, source: DemoServer): string {
  if (!endpoint) return 'nobody: fenced';
  return endpoint.port === source.port ? 'source' : 'target';
}

class Interrupted extends Error {}

async function main(): Promise<number> {
  const stay = !process.argv.includes('--exit');
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    // Once: a second Ctrl-C ends the process at once, and servers and Lockstep end with it.
    process.once(name, () => stop.abort(new Interrupted(name)));
  }
  const interrupted = new Promise<never>((_resolve, reject) => {
    stop.signal.addEventListener('abort', () => reject(stop.signal.reason as Error));
  });
  interrupted.catch(() => undefined);
  const stage = new Stage();
  let cast: Cast | null = null;
  try {
    cast = await Promise.race([setUp(stage), interrupted]);
    const failures = await Promise.race([perform(cast, stage, stop.signal), interrupted]);
    for (const failure of failures.slice(0, 20)) screen.plain(`  did not hold: ${failure}`);
    screen.line(failures.length === 0 ? 'all held' : `${failures.length} things did not hold`);
    if (stay) {
      const source = { name: SOURCE, server: cast.source };
      const target = { name: TARGET, server: cast.target };
      await handTour({ stage, screen, lockstep: cast.lockstep, source, target }, stop.signal);
    }
    return failures.length === 0 ? 0 : 1;
  } catch (error) {
    if (stop.signal.aborted) {
      screen.line('interrupted');
      return 130;
    }
    screen.line(error instanceof Error ? (error.stack ?? error.message) : String(error));
    if (cast) screen.plain(`The end of Lockstep's log:\n${cast.lockstep.logTail()}`);
    return 1;
  } finally {
    await stage.close();
  }
}

process.exit(await main());
