import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { type Fingerprint, FINGERPRINTS, type PassingFact, type UpgradeFacts } from './facts.js';
import { UpgradeEntity } from './upgrade.entity.js';
import type { Gate, StepState, UpgradePhase } from './upgrade-request.js';

export interface StepRow {
  name: string;
  state: StepState;
  startedAt: Date | null;
  finishedAt: Date | null;
  detail: Record<string, unknown> | null;
}

export interface UpgradeEvent {
  seq: number;
  type: string;
  data: Record<string, unknown>;
  at: Date;
}

/** Phases in which an upgrade holds its databases. */
const ENDED: UpgradePhase[] = ['finalized', 'aborted'];

/** Upgrade $1, where a rollback is at work and its verification has not ended. */
const BEFORE_ROLLBACK_VERIFICATION = `u.name = $1 and u.phase = 'rolling-back'
  and exists (select 1 from lockstep.upgrade_step as s
               where s.upgrade = u.name and s.name = 'rollback-verification' and s.state in ('pending', 'running'))`;

/** Columns a patch may set; undefined leaves, null clears. */
export type UpgradePatch = Partial<
  Pick<
    UpgradeEntity,
    'phase' | 'awaiting' | 'writeTo' | 'preflight' | 'verification' | 'problem' | 'operationId' | 'openingAt'
  >
>;

function isFingerprint(fact: string): boolean {
  return (FINGERPRINTS as readonly string[]).includes(fact);
}

@Injectable()
export class UpgradeRepository {
  constructor(private readonly dataSource: DataSource) {}

  find(name: string): Promise<UpgradeEntity | null> {
    return this.dataSource.getRepository(UpgradeEntity).findOneBy({ name });
  }

  async page(limit: number, afterName: string | null): Promise<UpgradeEntity[]> {
    const query = this.dataSource
      .getRepository(UpgradeEntity)
      .createQueryBuilder('u')
      .orderBy('u.name collate "C"')
      .limit(limit);
    if (afterName !== null) query.where('u.name collate "C" > :afterName', { afterName });
    return query.getMany();
  }

  /** Live upgrades that read or write one of these databases. */
  async liveOn(ends: { server: string; database: string }[]): Promise<string[]> {
    const rows = await this.dataSource.query<{ name: string }[]>(
      `select name from lockstep.upgrade
        where phase <> all ($1)
          and exists (select 1 from jsonb_array_elements($2::jsonb) as e(x) where e.x in (request -> 'source', request -> 'target'))`,
      [ENDED, JSON.stringify(ends)],
    );
    return rows.map(({ name }) => name);
  }

  async usesServer(server: string): Promise<string[]> {
    const rows = await this.dataSource.query<{ name: string }[]>(
      `select name from lockstep.upgrade
        where phase <> all ($1) and $2 in (request -> 'source' ->> 'server', request -> 'target' ->> 'server')`,
      [ENDED, server],
    );
    return rows.map(({ name }) => name);
  }

  async byShortIds(
    ids: string[],
  ): Promise<{ name: string; shortId: string; phase: UpgradePhase; live: boolean; servers: string[] }[]> {
    return this.dataSource.query(
      `select name, short_id as "shortId", phase, phase <> all ($2) as live,
              array[request -> 'source' ->> 'server', request -> 'target' ->> 'server'] as servers
         from lockstep.upgrade where short_id = any ($1)`,
      [ids, ENDED],
    );
  }

  /** False when the name is taken, or another live upgrade uses one of its databases: then nothing is written. */
  create(
    row: Pick<UpgradeEntity, 'name' | 'shortId' | 'operationId' | 'request' | 'secrets' | 'phase' | 'writeTo'>,
    steps: string[],
  ): Promise<'created' | 'name-taken' | 'database-taken'> {
    return this.dataSource.transaction(async (manager) => {
      await manager.query(`select pg_advisory_xact_lock(hashtextextended('lockstep create upgrade', 0))`);
      if (await manager.getRepository(UpgradeEntity).existsBy({ name: row.name })) return 'name-taken';
      if ((await this.liveOn([row.request.source, row.request.target])).length > 0) return 'database-taken';
      await manager.query(
        `insert into lockstep.upgrade (name, short_id, operation_id, request, secrets, phase, write_to)
         values ($1, $2, $3, $4, $5, $6, $7)`,
        [row.name, row.shortId, row.operationId, JSON.stringify(row.request), row.secrets, row.phase, row.writeTo],
      );
      await this.insertSteps(manager, row.name, steps);
      return 'created';
    });
  }

  async delete(name: string): Promise<void> {
    await this.dataSource.query('delete from lockstep.upgrade where name = $1', [name]);
  }

  /**
   * A phase and the event that tells of it are one: the stream of events ends with the last phase. With `operationId`
   * only while that operation is the one at work: a late failure of an earlier one changes nothing any more.
   */
  async patch(name: string, patch: UpgradePatch, operationId?: string): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      const { affected } = await manager
        .createQueryBuilder()
        .update(UpgradeEntity)
        .set({ ...patch, updatedAt: new Date() } as object)
        .where(operationId === undefined ? { name } : { name, operationId })
        .execute();
      if (patch.phase !== undefined && affected === 1)
        await this.append(manager, name, 'phase', { phase: patch.phase });
    });
  }

  /** What `find` leaves out of the facts: large, and of use to the steps alone. */
  async fingerprints(name: string): Promise<Pick<UpgradeFacts, Fingerprint>> {
    const [row] = await this.dataSource.query<{ fingerprints: Pick<UpgradeFacts, Fingerprint> }[]>(
      'select fingerprints from lockstep.upgrade where name = $1',
      [name],
    );
    return row?.fingerprints ?? {};
  }

  /** Merges top-level members into the facts in one statement, so that no writer loses another's. */
  async record(name: string, facts: Partial<UpgradeFacts>): Promise<void> {
    const entries = Object.entries(facts);
    const small = entries.filter(([key]) => !isFingerprint(key));
    // A column that is not set stays where it is, however large.
    if (small.length === entries.length) {
      await this.dataSource.query(
        'update lockstep.upgrade set facts = facts || $2::jsonb, updated_at = now() where name = $1',
        [name, JSON.stringify(facts)],
      );
      return;
    }
    const large = entries.filter(([key]) => isFingerprint(key));
    await this.dataSource.query(
      `update lockstep.upgrade
          set facts = facts || $2::jsonb, fingerprints = fingerprints || $3::jsonb, updated_at = now()
        where name = $1`,
      [name, JSON.stringify(Object.fromEntries(small)), JSON.stringify(Object.fromEntries(large))],
    );
  }

  async forget(name: string, facts: PassingFact[]): Promise<void> {
    await this.dataSource.query('update lockstep.upgrade set facts = facts - $2::text[] where name = $1', [
      name,
      facts,
    ]);
  }

  /** Begins waiting for a gate, unless an abort has been asked for. */
  async awaitGate(name: string, gate: Gate): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      const [, waits] = await manager.query<[unknown[], number]>(
        `update lockstep.upgrade set awaiting = $2, phase = 'awaiting-approval', updated_at = now()
          where name = $1 and abort_requested_at is null`,
        [name, gate],
      );
      if (waits === 1) await this.append(manager, name, 'phase', { phase: 'awaiting-approval', awaiting: gate });
    });
  }

  /** Takes the awaited gate; false when that gate is not awaited (any more). */
  async takeGate(name: string, gate: string): Promise<boolean> {
    const [, taken] = await this.dataSource.query<[unknown[], number]>(
      `update lockstep.upgrade set awaiting = null, problem = null, updated_at = now()
        where name = $1 and awaiting = $2 and phase = 'awaiting-approval' and abort_requested_at is null`,
      [name, gate],
    );
    return taken === 1;
  }

  /**
   * Begins an action on the upgrade: its operation, phase and steps change together, and only if nobody else began one
   * since it was read as `seen`. False: somebody did, or the phase does not fit; then nothing is changed.
   */
  begin(
    name: string,
    action: {
      seen: string;
      next: string;
      from: UpgradePhase[];
      to: UpgradePhase;
      /** Steps to be done again; those that were undone are anyway. What failed half way stays known as such. */
      again?: string[];
      /** Steps of the action, appended where they are new. */
      add?: string[];
      /** An action that goes on where it stands: what it has skipped stays so. */
      continues?: boolean;
      /** What is known from its beginning on. */
      facts?: Partial<UpgradeFacts>;
    },
  ): Promise<boolean> {
    return this.dataSource.transaction(async (manager) => {
      const [, begun] = await manager.query<[unknown[], number]>(
        `update lockstep.upgrade set operation_id = $3, phase = $4, problem = null, attempt = attempt + 1, updated_at = now(),
                facts = facts || $6::jsonb
          where name = $1 and operation_id = $2 and phase = any ($5)`,
        [name, action.seen, action.next, action.to, action.from, JSON.stringify(action.facts ?? {})],
      );
      if (begun !== 1) return false;
      await manager.query(
        `update lockstep.upgrade_step set state = 'pending', started_at = null, finished_at = null, detail = null
          where upgrade = $1 and (state = 'undone' or (state = 'skipped' and not $3) or name = any ($2))`,
        [name, action.again ?? [], action.continues ?? false],
      );
      await this.insertSteps(manager, name, action.add ?? []);
      await this.append(manager, name, 'phase', { phase: action.to });
      return true;
    });
  }

  /**
   * Begins an abort unless the target was opened; abort and opening exclude each other, whichever is recorded first wins.
   * Answers the operation that must end before anything is undone; null when the upgrade cannot be aborted.
   */
  beginAbort(name: string, seen: string, next: string, phases: UpgradePhase[]): Promise<string | null> {
    return this.dataSource.transaction(async (manager) => {
      const [rows] = await manager.query<[{ forward: string }[], number]>(
        `update lockstep.upgrade
            set abort_requested_at = now(), awaiting = null, phase = 'aborting', operation_id = $3, updated_at = now(),
                facts = facts || jsonb_build_object('abortedOperation',
                  case when abort_requested_at is null then operation_id::text
                       else coalesce(facts ->> 'abortedOperation', operation_id::text) end)
          where name = $1 and operation_id = $2 and opening_at is null and phase = any ($4)
          returning facts ->> 'abortedOperation' as forward`,
        [name, seen, next, phases],
      );
      const [row] = rows;
      if (!row) return null;
      await this.append(manager, name, 'phase', { phase: 'aborting' });
      return row.forward;
    });
  }

  /** Steps back from the point of no return, where it is known that nobody was let in on the target. */
  async giveUpOpening(name: string, seen: string): Promise<void> {
    await this.dataSource.query(
      `update lockstep.upgrade set opening_at = null, phase = 'failed', updated_at = now()
        where name = $1 and operation_id = $2 and opening_at is not null`,
      [name, seen],
    );
  }

  /** Asks a rollback that has not verified yet to do so after the opening; false when there is none. */
  async hurryRollback(name: string): Promise<boolean> {
    const [, hurried] = await this.dataSource.query<[unknown[], number]>(
      `update lockstep.upgrade as u set facts = facts || '{"rollbackVerification": "after"}', updated_at = now()
        where ${BEFORE_ROLLBACK_VERIFICATION}`,
      [name],
    );
    return hurried === 1;
  }

  async mayHurryRollback(name: string): Promise<boolean> {
    const rows = await this.dataSource.query<unknown[]>(
      `select 1 from lockstep.upgrade as u where ${BEFORE_ROLLBACK_VERIFICATION}`,
      [name],
    );
    return rows.length > 0;
  }

  async passPointOfNoReturn(name: string): Promise<boolean> {
    const [, done] = await this.dataSource.query<[unknown[], number]>(
      `update lockstep.upgrade set opening_at = coalesce(opening_at, now()), updated_at = now()
        where name = $1 and abort_requested_at is null`,
      [name],
    );
    return done === 1;
  }

  steps(name: string): Promise<StepRow[]> {
    return this.dataSource.query<StepRow[]>(
      `select name, state, started_at as "startedAt", finished_at as "finishedAt", detail
         from lockstep.upgrade_step where upgrade = $1 order by position`,
      [name],
    );
  }

  async stepState(upgrade: string, step: string): Promise<StepState | null> {
    const [row] = await this.dataSource.query<{ state: StepState }[]>(
      'select state from lockstep.upgrade_step where upgrade = $1 and name = $2',
      [upgrade, step],
    );
    return row?.state ?? null;
  }

  /** Makes steps due again whose effect was undone together with another's. */
  async resetSteps(upgrade: string, steps: string[]): Promise<void> {
    await this.dataSource.query(
      `update lockstep.upgrade_step set state = 'pending', started_at = null, finished_at = null
        where upgrade = $1 and name = any ($2)`,
      [upgrade, steps],
    );
  }

  /**
   * Makes a rollback's steps due again after it was given up with its source left as it is. Those that did anything count
   * as failed half way: should the source come back, the next rollback takes back there what they did before it begins.
   */
  async leaveRollback(upgrade: string, steps: string[]): Promise<void> {
    await this.dataSource.query(
      `update lockstep.upgrade_step set state = 'failed', detail = '{"left": "source"}'
        where upgrade = $1 and name = any ($2) and state <> 'pending'`,
      [upgrade, steps],
    );
  }

  /** Records a step's state and the event that tells of it. */
  async setStep(
    upgrade: string,
    step: string,
    state: StepState,
    detail: Record<string, unknown> | null,
  ): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      await manager.query(
        `update lockstep.upgrade_step
            set state = $3,
                detail = coalesce($4::jsonb, detail),
                started_at = case when $3 = 'running' then now() else coalesce(started_at, now()) end,
                finished_at = case when $3 in ('done', 'failed', 'undone', 'skipped') then now() end
          where upgrade = $1 and name = $2`,
        [upgrade, step, state, detail === null ? null : JSON.stringify(detail)],
      );
      await this.append(manager, upgrade, 'step', { step, state, ...(detail === null ? {} : { detail }) });
    });
  }

  event(upgrade: string, type: string, data: Record<string, unknown>): Promise<void> {
    return this.dataSource.transaction((manager) => this.append(manager, upgrade, type, data));
  }

  async eventsAfter(upgrade: string, seq: number, limit: number): Promise<UpgradeEvent[]> {
    const rows = await this.dataSource.query<{ seq: string; type: string; data: Record<string, unknown>; at: Date }[]>(
      'select seq, type, data, at from lockstep.upgrade_event where upgrade = $1 and seq > $2 order by seq limit $3',
      [upgrade, seq, limit],
    );
    return rows.map((row) => ({ ...row, seq: Number(row.seq) }));
  }

  private async insertSteps(manager: EntityManager, upgrade: string, steps: string[]): Promise<void> {
    await manager.query(
      `insert into lockstep.upgrade_step (upgrade, position, name, state)
       select $1, coalesce((select max(position) from lockstep.upgrade_step where upgrade = $1), 0) + s.ordinality, s.name, 'pending'
         from unnest($2::text[]) with ordinality as s(name, ordinality)
       on conflict (upgrade, name) do nothing`,
      [upgrade, steps],
    );
  }

  private async append(manager: EntityManager, upgrade: string, type: string, data: Record<string, unknown>) {
    await manager.query('select 1 from lockstep.upgrade where name = $1 for update', [upgrade]);
    await manager.query(
      `insert into lockstep.upgrade_event (upgrade, seq, type, data)
       select $1, coalesce(max(seq), 0) + 1, $2, $3::jsonb from lockstep.upgrade_event where upgrade = $1`,
      [upgrade, type, JSON.stringify(data)],
    );
  }
}
