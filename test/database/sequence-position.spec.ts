import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readSequence } from '../../src/postgres/catalog/sequences-list.js';
import { runStatements } from '../../src/postgres/ddl/run-statements.js';
import { type SequencePosition, setSequencePositions } from '../../src/postgres/ddl/sequence-position.ddl.js';
import type { Session } from '../../src/postgres/session.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

const LONG = 'ü'.repeat(31) + 'x';
const SCHEMA = `
  create sequence up; create sequence down increment -1;
  create sequence untouched;
  create schema "Weird ""Name"" ;'--";
  create sequence "Weird ""Name"" ;'--"."${LONG}";
  create schema other; create sequence other.up;`;

describe.each(AVAILABLE_MAJORS)('setting sequences on PostgreSQL %i', (major) => {
  const database = 'sequence_position';
  let server: TestServer;
  let session: Session;

  beforeAll(async () => {
    server = await TestServer.shared(major);
    await server.freshDatabase(database);
    await server.run(database, SCHEMA);
    session = await server.open(database);
  });
  afterAll(async () => {
    await session.close();
    await server.stop();
  });

  const at = (name: string, lastValue: string, isCalled = true, schema = 'public'): SequencePosition => ({
    ...{ schema, name, lastValue, isCalled },
  });
  const set = async (positions: SequencePosition[], options = {}) =>
    (await runStatements<{ sequence: string }>(session, setSequencePositions(positions, options))).map(
      ({ sequence }) => sequence,
    );
  const position = async (name: string, schema = 'public') => {
    const found = await readSequence(session, { schema, name });
    return `${found!.lastValue} ${found!.isCalled}`;
  };

  it('sets what is behind and nothing else, whatever the name', async () => {
    const odd = `Weird "Name" ;'--`;
    expect(await set([at('up', '50'), at('down', '-50'), at(LONG, '7', false, odd), at('absent', '1')])).toEqual([
      '"public"."up"',
      '"public"."down"',
      `"Weird ""Name"" ;'--"."${LONG}"`,
    ]);
    expect([await position('up'), await position('down'), await position(LONG, odd)]).toEqual([
      '50 true',
      '-50 true',
      '7 false',
    ]);
    expect([await position('untouched'), await position('up', 'other')]).toEqual(['1 false', '1 false']);
  });

  it('sets none back, in whichever direction it counts, also if it moved since it was looked at', async () => {
    await session.execute(`select pg_catalog.nextval('public.up'), pg_catalog.nextval('public.down')`);
    expect(await set([at('up', '50'), at('down', '-50'), at('up', '51', false)])).toEqual([]);
    expect([await position('up'), await position('down')]).toEqual(['51 true', '-51 true']);
    expect(await set([at('up', '20'), at('down', '-20')], { backwards: true })).toHaveLength(2);
    expect([await position('up'), await position('down')]).toEqual(['20 true', '-20 true']);
    const largest = '9223372036854775807';
    expect(await set([at('up', largest), at('down', '-9223372036854775808')])).toHaveLength(2);
    expect(await position('up')).toBe(`${largest} true`);
  });

  it('takes one that was set but never used for as far as it stands', async () => {
    await session.execute(
      `select pg_catalog.setval('public.up', 100, false), pg_catalog.setval('public.down', -100, false)`,
    );
    expect(await set([at('up', '50'), at('up', '99'), at('up', '100', false), at('down', '-99')])).toEqual([]);
    expect([await position('up'), await position('down')]).toEqual(['100 false', '-100 false']);
    // The next value of both is 100: there is nothing to set. Of the third it is 101.
    expect(await set([at('up', '100'), at('down', '-100')])).toHaveLength(2);
    expect([await position('up'), await position('down')]).toEqual(['100 true', '-100 true']);
  });

  it('says what it is, a few hundred to a statement', () => {
    const positions = Array.from({ length: 1001 }, (_, n) => at(`s${n}`, '5'));
    const statements = setSequencePositions(positions);
    expect(statements).toHaveLength(3);
    expect(setSequencePositions([])).toEqual([]);
    expect(statements[0]).toMatchObject({ transactional: true, lock: expect.stringContaining('ROW EXCLUSIVE') });
    expect(statements[2]!.sql).toContain(`('"public"."s1000"', '5'::int8, true)`);
  });
});
