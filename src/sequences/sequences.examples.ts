import { plan } from '../changes/change.js';
import type { Sequence } from '../postgres/catalog/sequences-list.js';
import { setSequencePositions } from '../postgres/ddl/sequence-position.ddl.js';
import type {
  ComparedSequenceDto,
  SequenceSyncDto,
  SequenceSyncPlanDto,
  SyncSequencesDto,
} from './link-sequences.dto.js';
import { compareBothEnds } from './sequence-comparison.js';
import { headroomOf } from './sequence-headroom.js';
import type { SequenceDto } from './sequences.dto.js';

const IDS = { schema: 'public', name: 'orders_id_seq' };
const NUMBERS = { schema: 'public', name: 'invoice_numbers' };

export const SYNC_SEQUENCES = {
  'some of them': { sequences: [IDS] },
  'all that are behind': {},
  'back, too: values may be handed out twice': { force: true, sequences: [NUMBERS] },
} satisfies Record<string, SyncSequencesDto>;

const ON_PUBLISHER: Sequence = {
  ...IDS,
  ...{ dataType: 'bigint', persistence: 'permanent', start: '1', increment: '1' },
  ...{ minimum: '1', maximum: '9223372036854775807', cycles: false, cacheSize: '1' },
  ...{ lastValue: '1042', isCalled: true, reason: null, settable: true, settableBy: null },
  ownedBy: { schema: 'public', name: 'orders', column: 'id', columnType: 'integer', identity: false },
};

export const SEQUENCE: SequenceDto = { ...ON_PUBLISHER, headroom: headroomOf(ON_PUBLISHER) };

const FREE = { ...ON_PUBLISHER, ...NUMBERS, ownedBy: null };

export const COMPARED: ComparedSequenceDto[] = compareBothEnds(
  [{ ...FREE, lastValue: '311' }, ON_PUBLISHER],
  [
    { ...FREE, lastValue: '320' },
    { ...ON_PUBLISHER, lastValue: '1', isCalled: false },
  ],
);

const [ahead, behind] = COMPARED;

export const SYNC: SequenceSyncDto = {
  moved: [{ ...IDS, from: behind!.subscriber!, to: behind!.publisher! }],
  left: [{ ...ahead!, reason: 'it stands further on the subscriber: only force sets it back' }],
};

export const SYNC_PLAN: SequenceSyncPlanDto = {
  statements: plan(
    { server: 'orders-18', database: 'orders' },
    setSequencePositions([{ ...IDS, ...behind!.publisher! }]),
  ),
  ...SYNC,
};
