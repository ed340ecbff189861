import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { PreflightResult } from '../../src/upgrades/preflight/check.js';
import type { ReplicationAddress } from '../../src/upgrades/preflight/options.js';
import { runPreflight } from '../../src/upgrades/preflight/preflight.service.js';
import { LOGIN } from '../support/least-privilege.js';
import { TestServer } from '../support/postgres-fleet.js';
import { requireTls, setHba } from '../support/tls-server.js';

/** Lockstep reaches both servers as postgres; what the servers do between them goes by `sourceAddress`. */
describe('preflight of the connection that the subscription will make', () => {
  let source: TestServer;
  let target: TestServer;
  let authority: string;

  beforeAll(async () => {
    [source, target] = await Promise.all([TestServer.start(15), TestServer.start(18)]);
    await source.freshDatabase('shop');
    await target.freshDatabase('shop');
    await requireTls(source, ['postgres']);
    authority = await requireTls(target, ['postgres', 'lockstep']);
  }, 120_000);
  afterAll(() => Promise.all([source?.stop(), target?.stop()]));

  const at = (change: Partial<ReplicationAddress> = {}): ReplicationAddress => ({
    ...{ host: 'localhost', port: source.port, user: 'postgres', tls: { mode: 'prefer' } },
    ...change,
  });

  async function checks(sourceAddress: ReplicationAddress, login = {}): Promise<Map<string, PreflightResult>> {
    const results = await runPreflight({
      source: source.target('shop'),
      target: { ...target.target('shop'), ...login },
      options: { sourceAddress },
      only: (check) => /reaches|encryption/.test(check),
    });
    return new Map(results.map((result) => [result.check, result]));
  }

  it('goes through, with the encryption that it will have, and leaves nothing', async () => {
    const prefer = await checks(at());
    expect(prefer.get('target-reaches-source')).toMatchObject({
      passed: true,
      observed: expect.stringMatching(/^connected to localhost/),
    });
    expect(prefer.get('source-connection-encryption')).toMatchObject({
      passed: true,
      observed: 'prefer: encrypted; nobody is authenticated',
    });
    expect(prefer.get('source-reaches-target')!.passed).toBe(true);
    const full = await checks(at({ tls: { mode: 'verify-full' }, rootCert: authority }));
    expect(full.get('target-reaches-source')!.passed).toBe(true);
    expect(full.get('source-connection-encryption')!.observed).toMatch(/^verify-full: encrypted; authority and host/);
    const plain = await checks(at({ tls: { mode: 'disable' } }));
    expect(plain.get('source-connection-encryption')!.observed).toBe('disable: plain text');
    for (const server of [source, target]) {
      const left = await server.withSession('shop', (session) =>
        session.rows(`select subname from pg_subscription union all select roname from pg_replication_origin
                      union all select slot_name from pg_replication_slots`),
      );
      expect(left).toEqual([]);
    }
  });

  it.each<[string, () => ReplicationAddress, RegExp]>([
    ['nobody listens', () => at({ port: 1 }), /could not connect|connection to server .* failed/],
    [
      'another name is certified',
      () => at({ host: '127.0.0.1', tls: { mode: 'verify-full' }, rootCert: authority }),
      /does not match host name/,
    ],
    [
      'the authority is not there',
      () => at({ tls: { mode: 'verify-ca' }, rootCert: '/nowhere/ca.crt' }),
      /does not exist/,
    ],
    ['the user is not known', () => at({ user: 'nobody' }), /authentication failed/],
  ])('blocks beforehand where %s', async (_case, address, observed) => {
    const result = (await checks(address())).get('target-reaches-source')!;
    expect(result).toMatchObject({
      passed: false,
      severity: 'blocker',
      remedy: expect.stringContaining('pg_hba.conf: hostssl shop'),
    });
    expect(result.observed).toMatch(observed);
    expect(JSON.stringify(result)).not.toContain(source.password);
  });

  it('blocks beforehand where pg_hba.conf keeps it out, or asks a login without superuser for no password', async () => {
    await target.run(
      'shop',
      `create role lockstep login password '${LOGIN.password}' in role pg_create_subscription;
                              grant create on database shop to lockstep`,
    );
    await source.run('shop', `create role lockstep login replication password '${source.password}'`);
    const lockstep = { user: LOGIN.user, password: LOGIN.password };
    await setHba(source, ['host all postgres all scram-sha-256', 'hostssl all lockstep all trust']);
    const trusted = (await checks(at({ user: 'lockstep' }), lockstep)).get('target-reaches-source')!;
    expect(trusted).toMatchObject({ passed: false, remedy: expect.stringContaining('ask for the password') });
    expect((await checks(at({ user: 'lockstep' }))).get('target-reaches-source')!.passed).toBe(true);
    await setHba(source, ['host all postgres all scram-sha-256', 'hostnossl all lockstep all scram-sha-256']);
    const refused = (await checks(at({ user: 'lockstep', tls: { mode: 'require' } }))).get('target-reaches-source')!;
    expect(refused).toMatchObject({ passed: false, observed: expect.stringContaining('pg_hba.conf') });
    const plain = await checks(at({ user: 'lockstep' }), lockstep);
    expect(plain.get('target-reaches-source')!.passed).toBe(true);
    expect(plain.get('source-connection-encryption')).toMatchObject({
      passed: false,
      severity: 'warning',
      observed: 'prefer: plain text, for TLS is not to be had',
    });
    // The statement holds the password; a failure of it must not be logged with it.
    expect(target.log()).toContain('publication "lockstep_probe" does not exist');
    expect(target.log()).not.toContain(source.password);
  });
});
