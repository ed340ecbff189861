import { describe, expect, it } from '@jest/globals';
import { sendsPasswordElsewhere } from './sends-password-elsewhere.js';

const BEFORE = {
  host: 'db',
  port: 5432,
  tls: { mode: 'verify-full' as const, ca: 'ours' },
  advertisedHost: 'db.internal',
  advertisedPort: 6432,
  advertisedTls: { mode: 'require' as const, rootCert: '/ca.pem' },
};

describe('a change by which the stored password would be sent elsewhere', () => {
  it.each<[string[], Partial<typeof BEFORE> | Record<string, unknown>]>([
    [['host'], { host: 'attacker' }],
    [['port'], { port: 5433 }],
    [['tls'], { tls: { mode: 'disable' } }],
    [['tls'], { tls: { mode: 'verify-full', ca: 'theirs' } }],
    [['tls'], { tls: { mode: 'verify-full' } }],
    [['advertisedHost'], { advertisedHost: 'attacker' }],
    [['advertisedPort'], { advertisedPort: 5433 }],
    [['advertisedTls'], { advertisedTls: { mode: 'prefer' } }],
    [['host', 'advertisedHost'], { host: 'attacker', advertisedHost: 'attacker' }],
  ])('%j', (fields, change) => {
    expect(sendsPasswordElsewhere(BEFORE, { ...BEFORE, ...change })).toEqual(fields);
  });

  it.each<Record<string, unknown>>([
    {},
    { advertisedHost: null, advertisedPort: null, advertisedTls: null },
    { advertisedHost: 'db' },
    { advertisedTls: { mode: 'verify-full', rootCert: '/other.pem' } },
    { walBudgetBytes: 1 },
  ])('is not %j', (change) => {
    expect(sendsPasswordElsewhere(BEFORE, { ...BEFORE, ...change })).toEqual([]);
  });

  it('is not stronger TLS', () => {
    const plain = { ...BEFORE, tls: { mode: 'prefer' as const }, advertisedTls: null };
    expect(sendsPasswordElsewhere(plain, { ...plain, tls: { mode: 'require', ca: 'ours' } })).toEqual([]);
    const { tls: required } = { tls: { mode: 'require' as const, ca: 'ours' } };
    expect(sendsPasswordElsewhere({ ...plain, tls: required }, { ...plain, tls: { mode: 'require' } })).toEqual([
      'tls',
    ]);
  });
});
