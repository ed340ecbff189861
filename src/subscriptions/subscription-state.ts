import type { Subscription } from '../postgres/catalog/subscriptions.js';

/**
 * `failing`: errors were counted and the worker that met them is gone; `stalled`: enabled, but no apply worker runs
 * and nothing counted why; `catching-up`: tables are copied and being brought in step.
 */
export type SubscriptionState =
  'disabled' | 'failing' | 'stalled' | 'initializing' | 'copying' | 'catching-up' | 'streaming';

export interface StateVerdict {
  state: SubscriptionState;
  /** Why, where the state alone does not say it. */
  reason: string | null;
}

/** The state of the whole subscription, from one look at the subscriber's catalogs and statistics. */
export function stateOf(subscription: Subscription): StateVerdict {
  const { enabled, errors, settings, tables, workers } = subscription;
  if (!enabled) return { state: 'disabled', reason: disabledReason(subscription) };
  const applies = workers.some(({ kind }) => kind === 'apply');
  if (!applies) {
    if (errors !== null && errors.apply > 0) {
      return { state: 'failing', reason: `${errors.apply} apply errors were counted and the apply worker is gone` };
    }
    const uncounted = errors === null ? '; this version counts no errors, see the server log of the subscriber' : '';
    const slotless = settings.slotName === null ? ' (it has no slot)' : '';
    return { state: 'stalled', reason: `no apply worker is running${slotless}${uncounted}` };
  }
  const unready = tables.filter(({ state }) => state !== 'ready');
  const synchronizing = workers.some(({ kind }) => kind === 'table synchronization');
  const uncopied = unready.filter(({ state }) => state !== 'catching-up');
  if (uncopied.length > 0 && !synchronizing && errors !== null && errors.sync > 0) {
    return {
      state: 'failing',
      reason: `${errors.sync} table synchronization errors were counted and ${uncopied.length} tables wait for a worker`,
    };
  }
  if (unready.some(({ state }) => state === 'copying')) return { state: 'copying', reason: waiting(unready.length) };
  if (unready.some(({ state }) => state === 'initializing')) {
    return { state: 'initializing', reason: waiting(unready.length) };
  }
  if (unready.length > 0) return { state: 'catching-up', reason: waiting(unready.length) };
  return { state: 'streaming', reason: null };
}

function disabledReason({ errors, settings }: Subscription): string | null {
  if (settings.disableOnError && errors !== null && errors.apply + errors.sync > 0) {
    return 'errors were counted and disable_on_error is on; see the server log of the subscriber';
  }
  return null;
}

function waiting(tables: number): string {
  return `${tables} ${tables === 1 ? 'table is' : 'tables are'} not ready yet`;
}
