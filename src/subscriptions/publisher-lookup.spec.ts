import { describe, expect, it } from '@jest/globals';
import { findPublisher } from './publisher-lookup.js';

const servers = [
  { name: 'one', host: 'db.example', port: 5432, advertisedHost: null, advertisedPort: null },
  { name: 'two', host: '10.0.0.2', port: 5432, advertisedHost: '192.0.2.2', advertisedPort: 6432 },
];

describe('the registered server that a connection string leads to', () => {
  it.each([
    [{ host: 'DB.example' }, 'one'],
    [{ host: 'db.example', port: '5433' }, null],
    [{ host: '192.0.2.2', port: '6432' }, 'two'],
    [{ host: 'localhost' }, null],
    // libpq connects to hostaddr; the host is then but a name.
    [{ host: 'db.example', hostaddr: '10.0.0.2' }, 'two'],
    [{ host: 'db.example', hostaddr: '10.0.0.9' }, null],
    [{ host: 'db.example', hostaddr: '' }, 'one'],
    [{ hostaddr: '10.0.0.2' }, 'two'],
    [{ host: 'db.example,10.0.0.2' }, null],
  ])('%j: %s', (connection, server) => {
    const found = findPublisher({ ...connection, dbname: 'd' }, servers, null);
    expect(found).toEqual(server === null ? null : { server, database: 'd' });
  });

  it.each([
    ['a subscriber that is local too', '127.0.0.1', { host: 'localhost' }, 'local'],
    ['a subscriber on another host', '10.0.0.9', { host: 'localhost' }, null],
    ['a subscriber on another host, by socket', '10.0.0.9', { host: '/tmp' }, null],
    ['a subscriber that is not known', null, { host: '127.0.0.1' }, null],
    ['a publisher that is advertised so', '10.0.0.9', { host: '127.0.0.1', port: '7000' }, 'tunnelled'],
  ])('a local address is that of the host of %s', (_whose, host, connection, server) => {
    const local = [
      { name: 'local', host: '127.0.0.1', port: 5432 },
      { name: 'socket', host: '/tmp', port: 5432 },
      { name: 'tunnelled', host: '10.0.0.3', port: 5432, advertisedHost: '127.0.0.1', advertisedPort: 7000 },
    ];
    const subscriber = host === null ? null : { name: 'subscriber', host, port: 5432 };
    const found = findPublisher({ ...connection, dbname: 'd' }, local, subscriber);
    expect(found).toEqual(server === null ? null : { server, database: 'd' });
  });
});
