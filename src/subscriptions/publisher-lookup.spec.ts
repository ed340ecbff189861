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
    const found = findPublisher({ ...connection, dbname: 'd' }, servers);
    expect(found).toEqual(server === null ? null : { server, database: 'd' });
  });
});
