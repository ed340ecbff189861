import { describe, expect, it } from '@jest/globals';
import type { Relation, StreamedTransaction } from '../../postgres/replication/streamed-transaction.js';
import type { Lsn } from '../../shared/lsn.js';
import type { TableShape } from '../at-rest/table-shape.js';
import { TouchedKeys } from './touched-keys.js';

const column = { name: 'a', conversion: 'none' } as TableShape['columns'][number];
const table = (name: string, key: boolean) =>
  ({ schema: 's', name, columns: [column], key: key ? [column] : null }) as unknown as TableShape;
const relation = (name: string): Relation => ({
  ...{ oid: 1, schema: 's', name, replicaIdentity: 'f' as const },
  columns: [{ name: 'a', key: true, typeOid: 25, typeModifier: -1 }],
});
const inserts = (endLsn: bigint, name: string, values: string[]) =>
  ({
    ...{ endLsn: endLsn as Lsn, origin: null, overflow: false },
    changes: values.map((value) => ({ kind: 'insert', relation: relation(name), new: [value] })),
  }) as unknown as StreamedTransaction;
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => String(from + n));

describe('touched keys', () => {
  it('hold as many rows as they may, counted once however often one is touched', () => {
    const touched = new TouchedKeys([table('keyed', true)], 'pg_1', 10);
    for (let lsn = 1n; lsn <= 50n; lsn++) touched.record(inserts(lsn, 'keyed', numbers(0, 10)));
    expect([touched.size, touched.overflow]).toEqual([10, null]);
    touched.record(inserts(51n, 'keyed', ['10']));
    expect(touched.overflow).toContain('more than 10 rows were touched');
    expect(touched.size).toBe(0);
    touched.reset(51n as Lsn);
    expect(touched.overflow).toBeNull();
    touched.record(inserts(52n, 'keyed', numbers(0, 10)));
    expect([touched.size, touched.overflow]).toEqual([10, null]);
  });

  it('hold no more of rows without a key than fits into memory', () => {
    const touched = new TouchedKeys([table('keyless', false)], 'pg_1', 1000, 10_000);
    const long = 'x'.repeat(1000);
    touched.record(
      inserts(
        1n,
        'keyless',
        Array.from({ length: 9 }, () => long),
      ),
    );
    expect([touched.size, touched.overflow]).toEqual([9, null]);
    touched.reset(1n as Lsn);
    touched.record(
      inserts(
        2n,
        'keyless',
        Array.from({ length: 9 }, () => long),
      ),
    );
    expect([touched.size, touched.overflow]).toEqual([9, null]);
    touched.record(inserts(3n, 'keyless', [long]));
    expect(touched.overflow).toContain('characters of rows without a key');
    expect(touched.size).toBe(0);
  });
});
