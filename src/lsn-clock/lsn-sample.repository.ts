import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { formatLsn, type Lsn, parseLsn } from '../shared/lsn.js';
import type { LsnSample } from './lsn-history.js';

/** All times are of the state database's clock, which every instance shares. */
@Injectable()
export class LsnSampleRepository {
  constructor(private readonly dataSource: DataSource) {}

  /** Servers of which no sample was taken within the time, by whatever instance. */
  async due(everySeconds: number): Promise<string[]> {
    const rows: { name: string }[] = await this.dataSource.query(
      `select name from lockstep.server s
        where not exists (select from lockstep.lsn_sample l
                           where l.server = s.name and l.at > clock_timestamp() - make_interval(secs => $1))
        order by name`,
      [everySeconds],
    );
    return rows.map(({ name }) => name);
  }

  /** A server that was removed meanwhile gets none. */
  async add(server: string, lsn: Lsn): Promise<void> {
    await this.dataSource.query(
      `insert into lockstep.lsn_sample (server, lsn)
       select name, $2 from lockstep.server where name = $1 for key share
       on conflict do nothing`,
      [server, formatLsn(lsn)],
    );
  }

  async of(server: string): Promise<LsnSample[]> {
    const rows: { age: number; lsn: string }[] = await this.dataSource.query(
      `select extract(epoch from clock_timestamp() - at)::float8 as age, lsn::text as lsn
         from lockstep.lsn_sample where server = $1 order by at desc`,
      [server],
    );
    return rows.map(({ age, lsn }) => ({ ageSeconds: age, lsn: parseLsn(lsn) }));
  }

  /** Whether a sample of the time is below the one before it. */
  async anyFell(withinSeconds: number): Promise<boolean> {
    const [{ fell }]: [{ fell: boolean }] = await this.dataSource.query(
      `select exists (
         select from lockstep.server n
         cross join lateral (select l.at, l.lsn from lockstep.lsn_sample l
                              where l.server = n.name and l.at > clock_timestamp() - make_interval(secs => $1)) s
         cross join lateral (select l.lsn from lockstep.lsn_sample l
                              where l.server = n.name and l.at < s.at order by l.at desc limit 1) before
          where s.lsn < before.lsn) as fell`,
      [withinSeconds],
    );
    return fell;
  }

  /** Keeps the last hour whole, and of the day before it one sample a minute. */
  async thin(): Promise<void> {
    await this.dataSource.query(
      `delete from lockstep.lsn_sample l
        where l.at < clock_timestamp() - interval '1 day'
           or l.at < clock_timestamp() - interval '1 hour'
              and exists (select from lockstep.lsn_sample e
                           where e.server = l.server and e.at < l.at and e.at >= date_trunc('minute', l.at))`,
    );
  }
}
