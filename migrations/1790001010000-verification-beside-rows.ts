import type { MigrationInterface, QueryRunner } from 'typeorm';

export class VerificationBesideRows1790001010000 implements MigrationInterface {
  name = 'VerificationBesideRows1790001010000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('alter table lockstep.verification add column beside_rows jsonb, add column ends text');
  }

  async down(): Promise<void> {
    throw new Error('migrations run forward only');
  }
}
