import { describe, expect, it } from '@jest/globals';
import { Session } from '../../src/postgres/session.js';
import { refuseUncommitted } from '../../src/upgrades/traffic/sql-fence.js';
import { eventually } from '../support/eventually.js';
import { AVAILABLE_MAJORS, TestServer } from '../support/postgres-fleet.js';

const MAJORS = [13, 15, 18].filter((major) => AVAILABLE_MAJORS.includes(major));

describe.each(MAJORS)('workers inside the fence on PostgreSQL %i', (major) => {
  it('what one has not committed is seen, though it is no client', async () => {
    const server = await TestServer.shared(major);
    await server.freshDatabase('fence_publisher');
    await server.freshDatabase('fence_subscriber');
    const onPublisher = (sql: string) => server.run('fence_publisher', sql).then(() => true);
    const table = 'create table public.slow (id integer primary key)';
    await onPublisher(`${table}; create publication slow_pub for table public.slow`);
    await onPublisher(`select pg_create_logical_replication_slot('fence_slow', 'pgoutput')`);
    const { port, user, password } = server;
    const subscriber = await Session.open(server.target('fence_subscriber'), { purpose: 'test' });
    try {
      await subscriber.execute(
        `${table};
         create function public.wait() returns trigger language plpgsql as
           $$ begin perform pg_sleep(60); return null; end $$;
         create trigger wait after insert on public.slow for each row execute function public.wait();
         alter table public.slow enable always trigger wait`,
      );
      await subscriber.execute(
        `create subscription fence_slow
           connection 'host=127.0.0.1 port=${port} dbname=fence_publisher user=${user} password=${password}'
           publication slow_pub with (create_slot = false, slot_name = 'fence_slow', copy_data = false)`,
      );
      await refuseUncommitted(subscriber);
      await onPublisher('insert into public.slow values (1)');
      await eventually(
        async () => {
          await expect(refuseUncommitted(subscriber)).rejects.toThrow(/still open inside the fence: pid \d+ of /);
          return true;
        },
        { within: 20_000 },
      );
    } finally {
      await subscriber.execute('alter subscription fence_slow disable');
      await subscriber.execute(
        'select pg_terminate_backend(pid) from pg_stat_subscription where pid is not null and subid in (select oid from pg_subscription where subdbid = (select oid from pg_database where datname = current_database()))',
      );
      await subscriber.execute('alter subscription fence_slow set (slot_name = none)');
      await subscriber.execute('drop subscription fence_slow');
      await subscriber.close();
      await eventually(() => onPublisher(`select pg_drop_replication_slot('fence_slow')`), { within: 20_000 });
      for (const database of ['fence_publisher', 'fence_subscriber']) {
        await server.run('postgres', `drop database ${database} with (force)`);
      }
    }
  }, 60_000);
});
