import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';

/** Which operations were asked to stop; read by whichever instance carries them. */
@Injectable()
export class Cancellations {
  constructor(private readonly dataSource: DataSource) {}

  async request(operationId: string): Promise<void> {
    await this.dataSource.query(
      'insert into lockstep.cancellation (operation_id) values ($1) on conflict (operation_id) do nothing',
      [operationId],
    );
  }

  /** Those of the operations that were asked to stop. */
  async among(operationIds: string[]): Promise<string[]> {
    if (operationIds.length === 0) return [];
    const rows = await this.dataSource.query<{ id: string }[]>(
      'select operation_id as id from lockstep.cancellation where operation_id::text = any($1)',
      [operationIds],
    );
    return rows.map(({ id }) => id);
  }
}
