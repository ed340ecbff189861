import { Column, Entity, PrimaryColumn } from 'typeorm';

/** Which key the stored secrets are encrypted with. One row. */
@Entity({ name: 'secret_key', schema: 'lockstep' })
export class SecretKeyEntity {
  @PrimaryColumn('boolean', { name: 'only_row', default: true })
  onlyRow: boolean;

  @Column('text')
  fingerprint: string;

  @Column('timestamptz', { name: 'created_at', default: () => 'now()' })
  createdAt: Date;
}
