import type { MigrationInterface, QueryRunner } from 'typeorm';

export class AdvertisedTls1790000600000 implements MigrationInterface {
  name = 'AdvertisedTls1790000600000';

  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      alter table lockstep.server
        add column advertised_tls_mode text
          check (advertised_tls_mode in ('disable', 'prefer', 'require', 'verify-ca', 'verify-full')),
        add column advertised_root_cert text`);
  }

  async down(): Promise<void> {
    throw new Error('migrations run forward only');
  }
}
