import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { dropLogicalSlot } from '../../src/postgres/replication/logical-slot.js';
import { eventually } from '../support/eventually.js';
import { TestServer } from '../support/postgres-fleet.js';
import { insertedIds, StreamFixture } from './replication-fixture.js';

describe.each([14, 18])('change stream and the life of its server, PostgreSQL %i', (major) => {
  let server: TestServer;
  let fixture: StreamFixture;

  beforeAll(async () => {
    server = await TestServer.start(major, { wal_sender_timeout: '1s' });
    fixture = new StreamFixture(server, 'restarted');
    await fixture.create();
  });

  afterEach(async () => {
    await fixture.closeStreams();
    await server.withSession(fixture.database, (session) => dropLogicalSlot(session, fixture.slotName));
    await fixture.run('truncate t');
  });

  afterAll(() => server.stop());

  it('is not given up by the server while idle, nor while its owner is busy', async () => {
    let release = () => {};
    const blocked = new Promise<void>((resolve) => (release = resolve));
    const { stream } = await fixture.open({ onTransaction: () => blocked });
    const { pid } = await fixture.slot();
    await fixture.insert(1);
    // Its replies go on for twice and a half the server's patience.
    const { now } = await fixture.heard();
    await eventually(async () => (await fixture.heard()).reply > now + 2_500, { within: 20_000, every: 100 });
    expect((await fixture.slot()).pid).toBe(pid);
    release();
    await fixture.caughtUp(stream);
  });

  it('does not hold up a shutdown with what it cannot confirm, and goes on after the restart', async () => {
    const { stream, seen } = await fixture.open({ confirmIdle: false });
    await fixture.insert(1, 2);
    await fixture.caughtUp(stream);
    const begun = Date.now();
    await server.restart();
    expect(Date.now() - begun).toBeLessThan(8_000);
    await fixture.insert(3);
    await fixture.caughtUp(stream);
    expect(insertedIds(seen)).toEqual([1, 2, 3]);
    // What the server sends with its first answer is handled before the state says so.
    await eventually(() => stream.state === 'streaming', { within: 5_000 });
  });

  it('goes on after a crash', async () => {
    const { stream, seen } = await fixture.open();
    await fixture.insert(1);
    await fixture.caughtUp(stream);
    await server.crash();
    await server.restart();
    await fixture.insert(2);
    await fixture.caughtUp(stream);
    expect(insertedIds(seen)).toEqual([1, 2]);
  });

  it('closes at once while the server is gone', async () => {
    const { stream } = await fixture.open();
    await server.crash();
    await eventually(() => stream.state === 'reconnecting', { within: 10_000 });
    const begun = Date.now();
    await stream.close();
    await stream.close();
    expect(Date.now() - begun).toBeLessThan(8_000);
    expect(stream.state).toBe('closed');
    await server.restart();
  });
});
