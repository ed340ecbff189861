import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What a verification did, beside `single_lsn`, which it was asked for. */
export class VerificationAtOneLsn1790000500000 implements MigrationInterface {
  name = 'VerificationAtOneLsn1790000500000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('alter table lockstep.verification add column at_one_lsn boolean');
  }

  async down(): Promise<void> {
    throw new Error('migrations run forward only');
  }
}
