import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { dumpSchema } from '../../src/postgres/schema/pg-dump.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

describe.each(AVAILABLE_MAJORS)('schema dump from PostgreSQL %i', (major) => {
  let server: TestServer;
  beforeAll(async () => {
    server = await TestServer.shared(major);
    await server.freshDatabase('schema dump "x"');
    await server.run(
      'schema dump "x"',
      `create table t (id int primary key, "odd ""name" text);
      create schema lockstep; create table lockstep.ours (id int); create schema "left out"; create table "left out".u (id int)`,
    );
  });
  afterAll(() => server.stop());

  it('writes both sections and leaves out what is asked', async () => {
    const target = server.target('schema dump "x"');
    const pre = await dumpSchema(target, { section: 'pre-data', excludeSchemas: ['left out'] });
    expect(pre).toContain('CREATE TABLE public.t');
    expect(pre).not.toContain('lockstep');
    expect(pre).not.toContain('left out');
    const post = await dumpSchema(target, { section: 'post-data' });
    expect(post).toContain('ADD CONSTRAINT t_pkey PRIMARY KEY (id)');
  });
});
