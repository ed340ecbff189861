import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { buildConninfo, parseConninfo, redactConninfo } from './conninfo.js';

describe('connection strings', () => {
  it('survive a round trip whatever the values hold', () => {
    const value = fc.string({ unit: 'binary' }).filter((text) => !text.includes('\0'));
    fc.assert(
      fc.property(value, value, (user, password) => {
        expect(parseConninfo(buildConninfo({ user, password }))).toEqual({ user, password });
      }),
    );
  });

  it.each([
    ["host = db  port=5432 user='a b' password=x\\ y", { host: 'db', port: '5432', user: 'a b', password: 'x y' }],
    ["dbname=''", { dbname: '' }],
    [
      'postgresql://us%40er:p%3Aw@db.example.org:5433/orders?sslmode=require&application_name=a%20b',
      {
        ...{ user: 'us@er', password: 'p:w', host: 'db.example.org', port: '5433', dbname: 'orders' },
        ...{ sslmode: 'require', application_name: 'a b' },
      },
    ],
    ['postgres://a,b:1/x', { host: 'a,b', port: ',1', dbname: 'x' }],
    ['postgres://[::1]:5/x', { host: '::1', port: '5', dbname: 'x' }],
  ])('%s', (text, parameters) => {
    expect(parseConninfo(text)).toEqual(parameters);
  });

  it.each(['host', "password='secret", '=secret', 'postgresql://u:secret@h/x?broken', 'postgres://%zz/secret'])(
    'refuses %j without repeating it',
    (text) => {
      expect(() => parseConninfo(text)).toThrow(expect.objectContaining({ code: 'INVALID_INPUT' }));
      expect(() => parseConninfo(text)).not.toThrow(/secret/);
      expect(redactConninfo(text)).toBe('********');
    },
  );

  it('hides every secret parameter and nothing else', () => {
    expect(redactConninfo('postgresql://me:secret@h/x?sslpassword=other')).toBe(
      "host='h' user='me' password='********' dbname='x' sslpassword='********'",
    );
  });
});
