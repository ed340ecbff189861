import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { SecretKeyEntity } from './secret-key.entity.js';

@Injectable()
export class SecretKeyRepository {
  constructor(private readonly dataSource: DataSource) {}

  async fingerprint(): Promise<string | null> {
    const row = await this.dataSource.getRepository(SecretKeyEntity).findOneBy({ onlyRow: true });
    return row?.fingerprint ?? null;
  }

  /** Stores the fingerprint unless there is one, and returns the one that counts. */
  async claim(fingerprint: string): Promise<string> {
    await this.dataSource.query(
      'insert into lockstep.secret_key (fingerprint) values ($1) on conflict (only_row) do nothing',
      [fingerprint],
    );
    return (await this.fingerprint())!;
  }
}
