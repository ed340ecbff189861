import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Config } from '../../src/config/config.js';
import type { Engine } from '../../src/engine/engine.js';
import { RetentionRepository } from '../../src/retention/retention.repository.js';
import { RetentionService } from '../../src/retention/retention.service.js';
import { SessionLock } from '../../src/storage/session-lock.js';
import { StateDatabase } from '../../src/storage/state-database.js';
import { TestServer } from '../support/postgres-fleet.js';

const DATABASE = 'retention_lock';

let server: TestServer;
let state: StateDatabase;

beforeAll(async () => {
  server = await TestServer.shared(18);
  await server.freshDatabase(DATABASE);
  state = await StateDatabase.open(configured({}));
});

afterAll(async () => {
  await state?.onApplicationShutdown();
  await server?.stop();
});

function configured(environment: Record<string, string>): Config {
  const { user, password, host, port } = server;
  return Config.load({ DATABASE_URL: `postgresql://${user}:${password}@${host}:${port}/${DATABASE}`, ...environment });
}

/** Of the engine only that it forgets is asked, and that of none here: workflows are the acceptance test's. */
function service(environment: Record<string, string> = {}): RetentionService {
  const engine = { forgetEnded: (ids: string[]) => Promise.resolve(ids) } as Partial<Engine> as Engine;
  return new RetentionService(new RetentionRepository(state.dataSource), engine, state, configured(environment));
}

async function oldAuditEvents(): Promise<number> {
  const [row] = await state.dataSource.query<{ count: string }[]>('select count(*) from lockstep.audit_event');
  return Number(row!.count);
}

it('runs on one instance at a time, and keeps for ever what it is told to', async () => {
  await state.dataSource.query(
    `insert into lockstep.audit_event (at, action, subject, outcome)
     select now() - interval '400 days', 'x.y', 's', 'succeeded' from generate_series(1, 11000)`,
  );
  const others = (await SessionLock.tryTake(state.url, 'retention'))!;
  expect(await service().run()).toBeNull();
  expect(await oldAuditEvents()).toBe(11000);
  await others.release();

  const forEver = {
    LOCKSTEP_AUDIT_RETENTION_DAYS: '0',
    LOCKSTEP_EVENT_RETENTION_DAYS: '0',
    LOCKSTEP_OPERATION_RETENTION_DAYS: '0',
  };
  expect(await service(forEver).run()).toMatchObject({ auditEvents: 0 });
  expect(await oldAuditEvents()).toBe(11000);
  expect(await service({ LOCKSTEP_AUDIT_RETENTION_DAYS: '401' }).run()).toMatchObject({ auditEvents: 0 });
  expect(await service().run()).toMatchObject({ auditEvents: 11000 });
  expect(await oldAuditEvents()).toBe(0);
  expect(await service().run()).toMatchObject({ auditEvents: 0 });
});
