import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ServersService } from '../../src/servers/servers.service.js';
import { withSession } from '../../src/postgres/session.js';
import { DiagnosisService } from '../../src/subscriptions/stuck/diagnosis.service.js';
import { endsOf, fleetServers } from '../support/fleet-servers.js';
import { TestServer } from '../support/postgres-fleet.js';
import { LinkFixture } from './verification/link-fixture.js';

const WEAK = { user: 'weak_diagnosis', password: 'weak' };

/** Positions of the publisher's WAL are not what this is about. */

describe.each([
  [14, 18],
  [17, 15],
])('a diagnosis whose login lacks a privilege, %i -> %i', (from, to) => {
  const database = `diagnosis_${from}_${to}`;
  let link: LinkFixture;

  beforeAll(async () => {
    link = await LinkFixture.create(await TestServer.shared(from), await TestServer.shared(to), database);
    await link.readers.drop();
    for (const server of [link.publisher, link.subscriber]) {
      await server.run(
        database,
        `drop role if exists ${WEAK.user}; create role ${WEAK.user} login password '${WEAK.password}'`,
      );
    }
    await link.subscriber.run(database, `grant select (subconninfo) on pg_catalog.pg_subscription to ${WEAK.user}`);
  }, 120_000);

  afterAll(async () => {
    await link?.subscriber.run(database, `drop owned by ${WEAK.user}; drop role ${WEAK.user}`);
    await link?.publisher.run(database, `drop role ${WEAK.user}`);
    await link?.drop();
    await link?.publisher.stop();
    await link?.subscriber.stop();
  });

  /** The servers, one of them with the weak login. */
  function diagnosis(weak: 'source' | 'sink'): DiagnosisService {
    const all = fleetServers({ source: link.publisher, sink: link.subscriber });
    const strong = fleetServers({ source: link.publisher, sink: link.subscriber });
    const target: ServersService['target'] = async (name, of) => ({
      ...(await strong.target(name, of)),
      ...(name === weak ? WEAK : {}),
    });
    const weakened: Pick<ServersService, 'target' | 'withSession'> = {
      target,
      withSession: async (name, of, work) => withSession(await target(name, of), {}, work),
    };
    const servers: ServersService = Object.assign(all, weakened);
    return new DiagnosisService(servers, endsOf(servers));
  }

  it('names REPLICATION on the publisher, and tells the rest', async () => {
    const found = (await diagnosis('source').diagnose('sink', database, link.subscription)).diagnosis;
    expect(found).toMatchObject({ position: expect.any(String), transaction: null });
    expect(found.transactionReason).toMatch(/replication/i);
  });

  it('names the GRANT without which nobody knows the position, and does not guess', async () => {
    const found = (await diagnosis('sink').diagnose('sink', database, link.subscription)).diagnosis;
    expect(found).toMatchObject({ position: null, originLsn: null, transaction: null, remedies: [] });
    expect(found.transactionReason).toContain('grant execute on function');
  });
});
