import { setTimeout as delay } from 'node:timers/promises';
import { readTablesHidingRows } from '../../postgres/catalog/hidden-rows.js';
import { readSubscriptions, type Subscription } from '../../postgres/catalog/subscriptions.js';
import { ANALYZABLE_TABLES, SLOT_LAG, TABLE_BYTES } from '../../postgres/catalog/upgrade.sql.js';
import { identifier } from '../../postgres/quoting.js';
import { Problem } from '../../problems/problem.js';
import type { Side, StepContext, UpgradeStep } from '../workflow/step.js';

/** A copy that moves nothing for this long, its errors growing or its workers missing, is stuck and says so. */
const STUCK_AFTER_MS = 120_000;
const POLL_MS = 200;
/** The link counts as caught up when less WAL than this lies between the source and what the target has confirmed. */
const CAUGHT_UP_BYTES = 1_000_000;
const ANALYZE_TIMEOUT = '6h';

/** Waits for tablesync to copy every table, with progress in bytes. */
export const initialCopyStep: UpgradeStep = {
  name: 'initial-copy',
  phase: 'copy',

  async run(context) {
    const started = Date.now();
    const { tables, bytes } = await untilCopied(context);
    return { tables, bytes, ms: Date.now() - started };
  },
};

export interface Patience {
  /** Without anything moving, forth or back. */
  stuckAfterMs?: number;
  /** Of copies, counted by the target (15 and newer) or seen to begin anew, while no table gets further than it ever was. */
  mostFailures?: number;
}

/** Waits until the subscription has copied every table of its own, with progress in bytes. */
export async function untilCopied(
  context: StepContext,
  { stuckAfterMs = STUCK_AFTER_MS, mostFailures = Number.POSITIVE_INFINITY }: Patience = {},
) {
  const sizes = await tableSizes(context);
  const started = Date.now();
  const watch = new CopyWatch();
  let lastMove = Date.now();
  let failuresThen = 0;
  for (;;) {
    context.signal.throwIfAborted();
    const subscription = await subscribed(context);
    const state = progressOf(subscription, sizes);
    if (subscription.tables.length > 0 && state.ready === subscription.tables.length) {
      const bytes = [...sizes.values()].reduce((sum, size) => sum + size, 0);
      return { tables: subscription.tables.length, bytes };
    }
    const failures = subscription.errors?.sync ?? 0;
    const seen = watch.look(subscription);
    if (seen !== 'still') lastMove = Date.now();
    if (seen === 'further') failuresThen = failures;
    const failed = Math.max(failures - failuresThen, watch.setbacks);
    if (Date.now() - lastMove > stuckAfterMs || failed > mostFailures) {
      throw await stuck(context, subscription);
    }
    const percent = state.bytesTotal > 0 ? (100 * state.bytesDone) / state.bytesTotal : null;
    const eta = percent !== null && percent > 1 ? ((Date.now() - started) / percent) * (100 - percent) : null;
    await context.progress(
      `copying: ${state.ready} of ${subscription.tables.length} tables ready`,
      percent,
      eta === null ? null : Math.round(eta / 1000),
    );
    await delay(POLL_MS, undefined, { signal: context.signal });
  }
}

export const analyzeStep: UpgradeStep = {
  name: 'analyze',
  phase: 'catch-up',

  async run(context) {
    const target = await context.act('target');
    const tables = await target.rows<{ schema: string; name: string }>(ANALYZABLE_TABLES);
    await target.execute(`set statement_timeout = '${ANALYZE_TIMEOUT}'`);
    try {
      for (const [index, { schema, name }] of tables.entries()) {
        context.signal.throwIfAborted();
        if (index % 20 === 0) await context.progress(`analyzing ${schema}.${name}`, (100 * index) / tables.length);
        await target.execute(`analyze ${identifier(schema, name)}`);
      }
    } finally {
      if (target.alive) await target.execute('reset statement_timeout');
    }
    return { tables: tables.length };
  },
};

/** Opens the change streams and waits until the target is as good as level with the source. */
export const catchUpStep: UpgradeStep = {
  name: 'catch-up',
  phase: 'catch-up',

  async run(context) {
    await context.progress('opening the change streams');
    await context.readers('forward');
    let lowest = Number.POSITIVE_INFINITY;
    let lastMove = Date.now();
    for (;;) {
      context.signal.throwIfAborted();
      const lag = await forwardLag(context);
      if (lag !== null && lag < CAUGHT_UP_BYTES) return { lagBytes: lag };
      if (lag !== null && lag < lowest) {
        lowest = lag;
        lastMove = Date.now();
      }
      if (Date.now() - lastMove > STUCK_AFTER_MS) throw await stuck(context, await subscribed(context));
      await context.progress(`catching up: ${lag === null ? 'lag unknown' : `${lag} bytes behind`}`);
      await delay(POLL_MS, undefined, { signal: context.signal });
    }
  },

  // After a rollback it is due again, and the verification that followed the rollback has opened them before.
  remains: ({ readersOpened }) => readersOpened === true,

  async undo(context) {
    return await context.dropReaders('forward');
  },
};

export async function forwardLag(context: StepContext): Promise<number | null> {
  return await slotLag(context, 'source', context.names.slot);
}

/** Bytes the subscriber of that slot is behind; null when that is not known, which is never taken for zero. */
export async function slotLag(context: StepContext, publisher: Side, slot: string): Promise<number | null> {
  const [row] = await (await context.act(publisher)).rows<{ bytes: string | null }>(SLOT_LAG, [slot]);
  return typeof row?.bytes === 'string' ? Number(row.bytes) : null;
}

async function subscribed(context: StepContext): Promise<Subscription> {
  const [subscription] = await readSubscriptions(await context.act('target'), context.names.subscription);
  if (!subscription) throw new Problem('CONFLICT', `subscription ${context.names.subscription} is gone`);
  if (!subscription.enabled) {
    throw new Problem('CONFLICT', `subscription ${subscription.name} was disabled`, {
      hint: 'See the log of the target for why (disable_on_error, or somebody), then retry.',
    });
  }
  return subscription;
}

async function tableSizes(context: StepContext): Promise<Map<string, number>> {
  const rows = await (await context.act('source')).rows<{ schema: string; name: string; bytes: string }>(TABLE_BYTES);
  return new Map(rows.map((row) => [JSON.stringify([row.schema, row.name]), Number(row.bytes)]));
}

const MORE_THAN_A_TABLE = 2 ** 50;
const ORDER: readonly string[] = ['initializing', 'copying', 'copied', 'catching-up', 'ready'];

/**
 * Whether copies get on. One that begins anew moves, for as long as it takes to come where it was before; only one that
 * gets further than any attempt before shows that they do not fail at the same place over and over. Bytes are those that
 * are sent: compressed on disk they are fewer.
 */
export class CopyWatch {
  /** Times that a copy was seen to begin anew since a table last got further. */
  setbacks = 0;
  private readonly furthest = new Map<string, number>();
  private readonly last = new Map<string, number>();

  look({ tables }: Pick<Subscription, 'tables'>): 'further' | 'moving' | 'still' {
    let [further, moving, back] = [false, false, 0];
    for (const { schema, name, state, copyProgress } of tables) {
      const key = JSON.stringify([schema, name]);
      const place = ORDER.indexOf(state) * MORE_THAN_A_TABLE + (copyProgress?.bytes ?? 0);
      const before = this.last.get(key) ?? -1;
      this.last.set(key, place);
      if (place !== before) moving = true;
      if (place < before) back++;
      if (place <= (this.furthest.get(key) ?? -1)) continue;
      this.furthest.set(key, place);
      further = true;
    }
    this.setbacks = further ? 0 : this.setbacks + back;
    return further ? 'further' : moving ? 'moving' : 'still';
  }
}

function progressOf(subscription: Subscription, sizes: Map<string, number>) {
  let ready = 0;
  let bytesDone = 0;
  let bytesTotal = 0;
  for (const table of subscription.tables) {
    const size = sizes.get(JSON.stringify([table.schema, table.name])) ?? 0;
    bytesTotal += size;
    if (table.state === 'ready') ready++;
    if (table.state === 'ready' || table.state === 'copied' || table.state === 'catching-up') bytesDone += size;
    else bytesDone += Math.min(size, table.copyProgress?.bytes ?? 0);
  }
  return { ready, bytesDone, bytesTotal };
}

async function stuck(context: StepContext, subscription: Subscription): Promise<Problem> {
  const waiting = subscription.tables.filter(({ state }) => state !== 'ready').slice(0, 10);
  const errors = subscription.errors;
  const [hiding] = await readTablesHidingRows(await context.act('source'), waiting);
  const login = hiding && identifier(hiding.login);
  const mend = hiding
    ? ` Row security of the source holds ${login} in ${identifier(hiding.schema, hiding.name)}: alter role ${login} bypassrls there.`
    : '';
  return new Problem(
    'PREREQUISITE_FAILED',
    `nothing moves; waiting: ${
      waiting.map(({ schema, name, state }) => `${schema}.${name} (${state})`).join(', ') || 'the apply worker'
    }${errors ? `; errors so far: apply ${errors.apply}, sync ${errors.sync}` : ''}`,
    {
      hint: `The target server's log says why the worker fails. Mend that, then retry the upgrade.${mend}`,
      retryable: true,
      extra: { workers: subscription.workers.length },
    },
  );
}
