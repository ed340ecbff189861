import type { MigrationInterface, QueryRunner } from 'typeorm';

/** One that was interrupted has ended and has no verdict. */
export class AbandonedVerifications1790000750000 implements MigrationInterface {
  name = 'AbandonedVerifications1790000750000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      alter table lockstep.verification drop constraint verification_check;
      alter table lockstep.verification add constraint verdict_when_finished
        check (verdict is null or finished_at is not null)`);
  }

  async down(): Promise<void> {
    throw new Error('migrations run forward only');
  }
}
