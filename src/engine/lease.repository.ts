import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { Instances } from './instance.repository.js';

export interface Lease {
  name: string;
  /** Grows by one with each holder: what a paused earlier holder carries is lower. */
  epoch: bigint;
}

/** Who may act on something only one instance may act on at a time. */
@Injectable()
export class Leases {
  constructor(
    private readonly dataSource: DataSource,
    private readonly instances: Instances,
  ) {}

  /** Takes the lease over from whoever held it; their epoch is then out of date. */
  async take(name: string): Promise<Lease> {
    const [row] = await this.dataSource.query<{ epoch: string }[]>(
      `insert into lockstep.lease (name, holder, epoch) values ($1, $2, 1)
       on conflict (name) do update set holder = excluded.holder, epoch = lease.epoch + 1, taken_at = now()
       returning epoch`,
      [name, this.instances.id],
    );
    return { name, epoch: BigInt(row!.epoch) };
  }

  async holds(lease: Lease): Promise<boolean> {
    const rows = await this.dataSource.query<unknown[]>('select 1 from lockstep.lease where name = $1 and epoch = $2', [
      lease.name,
      lease.epoch.toString(),
    ]);
    return rows.length === 1;
  }
}
