import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Recorded before its subscription is dropped: whether it then was is learnt afterwards. */
export class LeftSlotsDropped1790000850000 implements MigrationInterface {
  name = 'LeftSlotsDropped1790000850000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`alter table lockstep.left_slot add column dropped boolean not null default false`);
  }

  async down(): Promise<void> {
    throw new Error('migrations run forward only');
  }
}
