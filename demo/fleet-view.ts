import { setTimeout as delay } from 'node:timers/promises';
import type { Api } from './api.js';
import { bytes, count } from './screen.js';
import type { Page, SubscriptionView, UpgradePlan, UpgradeView, VerificationView } from './upgrade-view.js';

const REFRESH_MS = 1000;

/** What the API says about copy, lag and verification while an upgrade runs. Only for the eye: it decides nothing. */
export class FleetView {
  private message = '';
  private subscription: SubscriptionView | null = null;
  private verification: VerificationView | null = null;
  private verificationId: string | null = null;

  constructor(
    private readonly api: Api,
    private readonly plan: UpgradePlan,
    private readonly signal: AbortSignal,
  ) {}

  /** Reads the upgrade's events and, beside them, the subscription and the verification, until the signal. */
  async follow(eventsPath: string): Promise<void> {
    await Promise.allSettled([this.readEvents(eventsPath), this.refresh()]);
  }

  summary(upgrade: UpgradeView): string {
    this.verificationId = upgrade.verification?.id ?? null;
    const parts: string[] = [];
    const tables = this.subscription?.tables ?? [];
    if (tables.length > 0) {
      const ready = tables.filter((table) => table.state === 'ready').length;
      if (ready < tables.length) parts.push(`copied ${ready}/${tables.length} tables`);
    }
    const lag = this.subscription?.lag?.bytes;
    if (typeof lag === 'number') parts.push(`lag ${bytes(lag)}`);
    const progress = this.verification?.progress;
    if (progress && upgrade.phase === 'verify') {
      parts.push(`verified ${progress.percent?.toFixed(0) ?? '?'}% (${count(progress.rowsDone)} rows)`);
    }
    if (parts.length === 0 && this.message) parts.push(this.message);
    return parts.join(', ');
  }

  private async readEvents(path: string): Promise<void> {
    for await (const { data } of this.api.events(path, this.signal)) {
      if (typeof data.message === 'string') this.message = data.message;
    }
  }

  private async refresh(): Promise<void> {
    const { server, database } = this.plan.target;
    const path = `/v1/servers/${encodeURIComponent(server)}/databases/${encodeURIComponent(database)}/subscriptions`;
    while (!this.signal.aborted) {
      const list = await this.ask<Page<{ name: string }>>(path);
      const name = list?.items[0]?.name;
      this.subscription = name ? await this.ask<SubscriptionView>(`${path}/${encodeURIComponent(name)}`) : null;
      if (this.verificationId) this.verification = await this.ask(`/v1/verifications/${this.verificationId}`);
      await delay(REFRESH_MS, undefined, { signal: this.signal }).catch(() => undefined);
    }
  }

  /** What cannot be told at the moment is not shown. */
  private async ask<T>(path: string): Promise<T | null> {
    return this.api.get<T>(path).catch(() => null);
  }
}
