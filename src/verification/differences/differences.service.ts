import { Injectable } from '@nestjs/common';
import { cursorKey, type Page, pageOf } from '../../api/page.js';
import { SecretBox } from '../../security/secret-box.js';
import { type DifferenceFilter, type StoredDifference, VerificationRepository } from '../verification.repository.js';
import { VerificationsService } from '../verifications.service.js';
import type { ValueForm } from './differences.dto.js';
import { withValues } from './redaction.js';

const ROWS_AT_ONCE = 500;

/** Differences that a verification has listed, page by page or all of them. */
@Injectable()
export class DifferencesService {
  constructor(
    private readonly verifications: VerificationsService,
    private readonly repository: VerificationRepository,
    private readonly box: SecretBox,
  ) {}

  /** In the order in which they were found. Rejects with NOT_FOUND. */
  async page(
    id: string,
    { limit, cursor }: { limit: number; cursor?: string | undefined },
    filter: DifferenceFilter,
    form: ValueForm,
  ): Promise<Page<StoredDifference>> {
    await this.verifications.get(id);
    const after = cursorKey(cursor, 'integer')?.map(Number)[0] ?? null;
    const rows = await this.repository.differences(id, limit + 1, after, filter);
    const page = pageOf(rows, limit, ({ position }) => [position]);
    return { ...page, items: page.items.map((each) => this.shown(each, form)) };
  }

  /** All of them, however many. Rejects with NOT_FOUND before the first one is asked for. */
  async all(id: string, filter: DifferenceFilter, form: ValueForm): Promise<AsyncGenerator<StoredDifference>> {
    await this.verifications.get(id);
    return this.each(id, filter, form);
  }

  private async *each(id: string, filter: DifferenceFilter, form: ValueForm): AsyncGenerator<StoredDifference> {
    for (let after: number | null = null; ;) {
      const rows: StoredDifference[] = await this.repository.differences(id, ROWS_AT_ONCE, after, filter);
      for (const row of rows) yield this.shown(row, form);
      if (rows.length < ROWS_AT_ONCE) return;
      after = rows.at(-1)!.position;
    }
  }

  private shown(difference: StoredDifference, form: ValueForm): StoredDifference {
    if (form === 'text') return difference;
    return withValues(difference, (value) => `hash:${this.box.mac(`value ${value}`).toString('hex').slice(0, 32)}`);
  }
}
