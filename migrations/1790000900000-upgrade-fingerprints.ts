import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Out of the facts, which every look at an upgrade reads and every record of one writes anew. */
export class UpgradeFingerprints1790000900000 implements MigrationInterface {
  name = 'UpgradeFingerprints1790000900000';

  async up(queryRunner: QueryRunner): Promise<void> {
    const names = `'{fingerprint,fingerprintOnTarget,targetFingerprint}'::text[]`;
    await queryRunner.query(`alter table lockstep.upgrade add column fingerprints jsonb not null default '{}'`);
    await queryRunner.query(`
      update lockstep.upgrade
         set facts = facts - ${names},
             fingerprints = coalesce((select jsonb_object_agg(key, value) from jsonb_each(facts) where key = any (${names})), '{}')
       where facts ?| ${names}`);
  }

  async down(): Promise<void> {
    throw new Error('migrations run forward only');
  }
}
