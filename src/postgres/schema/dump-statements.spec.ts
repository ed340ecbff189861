import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type DumpEntry, parseDump } from './dump-statements.js';

function header(name: string, type = 'TABLE', schema = 'public', owner = 'bob'): string {
  return `--\n-- Name: ${name}; Type: ${type}; Schema: ${schema}; Owner: ${owner}\n--\n\n`;
}

function entries(dump: string): DumpEntry[] {
  return parseDump(dump).filter((item) => item.kind === 'entry');
}

describe('parseDump', () => {
  it('groups statements under their header', () => {
    const [table, acl] = entries(
      `${header('t')}CREATE TABLE public.t (\n    id integer\n);\n\n\nALTER TABLE public.t OWNER TO bob;\n\n` +
        `${header('TABLE t', 'ACL', 'public', '-')}GRANT SELECT ON TABLE public.t TO alice;\n`,
    );
    expect(table).toMatchObject({ name: 't', type: 'TABLE', schema: 'public', owner: 'bob' });
    expect(table!.statements).toEqual([
      'CREATE TABLE public.t (\n    id integer\n);',
      'ALTER TABLE public.t OWNER TO bob;',
    ]);
    expect(acl).toMatchObject({ name: 'TABLE t', type: 'ACL', owner: null });
  });

  it.each([
    ['a semicolon in a string', `COMMENT ON TABLE t IS 'a; b''; c';`],
    ['a backslash at the end of a plain string', `COMMENT ON TABLE t IS 'a\\';`],
    ['an escaped quote in an E string', `CREATE VIEW v AS SELECT E'it\\'s; \\\\' AS x;`],
    ['a quoted name', `CREATE TABLE "a;b""c--d" ("e'f" integer);`],
    ['a dollar quote', 'CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $_$ SELECT $1; $$ ; $a$ $_$;'],
    ['a name with dollars', 'CREATE TABLE a$b$c (x integer);'],
    ['a header inside a function body', `CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$\n${header('spoof')}\n$$;`],
    [
      'a backslash line inside a function body',
      'CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$\n\\restrict x\n$$;',
    ],
    ['a comment inside a statement', `CREATE TABLE t ( -- don't; stop\n a integer /* nor; /* here's */ ; */ );`],
    ['a rule with several actions', 'CREATE RULE r AS ON INSERT TO t DO ( INSERT INTO a VALUES (1); DELETE FROM b; );'],
    [
      'a body of BEGIN ATOMIC',
      'CREATE FUNCTION f(a integer) RETURNS integer LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN a > 1 THEN CASE a WHEN 2 THEN 3 END ELSE 4 END; SELECT 5; END;',
    ],
    ['a column named end', 'CREATE TABLE t (begin integer, "end" integer);'],
    ['a unicode name', 'CREATE TABLE naïve😀;'],
  ])('keeps %s in one statement', (_what, statement) => {
    expect(entries(`${header('x')}${statement}\n\n\n${header('y')}SELECT 1;`).map((entry) => entry.statements)).toEqual(
      [[statement], ['SELECT 1;']],
    );
  });

  it('drops psql lines between statements, whatever quotes they hold', () => {
    const dump = `\\restrict O'Hara"\n\nSET row_security = off;\n${header('t')}CREATE TABLE t ();\n\\unrestrict $$\n`;
    expect(parseDump(dump).map((item) => (item.kind === 'entry' ? item.statements : item.statement))).toEqual([
      'SET row_security = off;',
      ['CREATE TABLE t ();'],
    ]);
  });

  it('tells settings of the session from other statements', () => {
    const items = parseDump(
      `SELECT pg_catalog.set_config('search_path', '', false);\nSET default_tablespace = '';\nSELECT pg_catalog.setval('s', 1);`,
    );
    expect(items.map((item) => (item.kind === 'setting' ? item.name : item.kind))).toEqual([
      'search_path',
      'default_tablespace',
      'entry',
    ]);
  });

  it('gives equal digests for equal content and tells repeated entries apart', () => {
    const one = `${header('t')}CREATE TABLE t ();\n`;
    const [first, second] = entries(one + one);
    expect(entries(one)[0]!.digest).toBe(first!.digest);
    expect(second!.digest).not.toBe(first!.digest);
  });

  it.each(["CREATE TABLE t (a text DEFAULT 'x", 'CREATE TABLE t (', 'AS $f$ x $g$', '/* x'])(
    'refuses the cut-off dump %j',
    (dump) => {
      expect(() => parseDump(dump)).toThrow(RangeError);
    },
  );

  it('returns any statements whole, whatever stands in their quotes', () => {
    const nasty = fc.string({
      unit: fc.constantFrom(';', "'", '"', '$', '\\', '\n', '-', '/', '*', '(', ')', 'a', ' '),
    });
    const literal = nasty.map((text) => `'${text.replaceAll("'", "''")}'`);
    const escaped = nasty.map((text) => `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`);
    const name = nasty.map((text) => `"${text.replaceAll('"', '""')}"`);
    const dollar = nasty.map((text) => `$_q$${text}$_q$`);
    const part = fc.oneof(literal, escaped, name, dollar);
    const statement = fc
      .array(part, { minLength: 1, maxLength: 5 })
      .map((parts) => `COMMENT ON x IS ${parts.join(' , ')};`);
    fc.assert(
      fc.property(fc.array(statement, { maxLength: 5 }), (statements) => {
        const dump = statements.map((sql, index) => `${header(`n${index}`)}${sql}\n`).join('\n');
        expect(entries(dump).map((entry) => entry.statements)).toEqual(statements.map((sql) => [sql]));
      }),
    );
  });
});
