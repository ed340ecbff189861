import { Injectable } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { Problem } from '../problems/problem.js';
import type { OperationEntity } from './operation.entity.js';
import { type ListedOperation, type OperationEvent, OperationRepository } from './operation.repository.js';
import { type OperationProgress, Operations } from './operations.js';

/** Least time between two progress events of one operation; the row itself is always current. */
const PROGRESS_EVENT_EVERY_MS = 500;

/** A start takes milliseconds; an operation still queued after this has lost its workflow to a crash, or waits for one. */
const NEVER_BEGUN_AFTER_SECONDS = 30;

@Injectable()
export class OperationsService extends Operations {
  private readonly lastProgressEvent = new Map<string, number>();

  constructor(private readonly repository: OperationRepository) {
    super();
  }

  async create(input: { id?: string; kind: string; subject: { type: string; id: string } }): Promise<string> {
    const id = input.id ?? randomUUID();
    await this.repository.insert({
      id,
      kind: input.kind,
      subjectType: input.subject.type,
      subjectId: input.subject.id,
    });
    return id;
  }

  async hasEnded(id: string): Promise<boolean> {
    const operation = await this.repository.find(id);
    return operation === null || isFinished(operation);
  }

  neverBegun(): Promise<string[]> {
    return this.repository.queuedLongerThan(NEVER_BEGUN_AFTER_SECONDS);
  }

  async progress(id: string, progress: OperationProgress): Promise<void> {
    const now = Date.now();
    if (now - (this.lastProgressEvent.get(id) ?? 0) < PROGRESS_EVENT_EVERY_MS) {
      await this.repository.setProgress(id, progress);
      return;
    }
    this.lastProgressEvent.set(id, now);
    await this.repository.change(id, { progress }, { type: 'progress', data: { ...progress } });
  }

  event(id: string, type: string, data: Record<string, unknown>): Promise<void> {
    return this.repository.appendEvent(id, type, data);
  }

  async state(id: string, state: 'running' | 'waiting'): Promise<void> {
    await this.repository.change(id, { state }, { type: state, data: {} });
  }

  succeed(id: string, result: Record<string, unknown>): Promise<void> {
    return this.end(id, { state: 'succeeded', result }, { result });
  }

  fail(id: string, problem: Record<string, unknown>): Promise<void> {
    return this.end(id, { state: 'failed', problem }, { problem });
  }

  cancelled(id: string): Promise<void> {
    return this.end(id, { state: 'cancelled' }, {});
  }

  async get(id: string): Promise<OperationEntity> {
    const operation = await this.repository.find(id);
    if (!operation) throw new Problem('NOT_FOUND', `there is no operation ${id}`);
    return operation;
  }

  page(limit: number, before: { createdAt: string; id: string } | null): Promise<ListedOperation[]> {
    return this.repository.page(limit, before);
  }

  eventsAfter(id: string, seq: number, limit: number): Promise<OperationEvent[]> {
    return this.repository.eventsAfter(id, seq, limit);
  }

  private async end(
    id: string,
    set: Parameters<OperationRepository['change']>[1] & { state: 'succeeded' | 'failed' | 'cancelled' },
    data: Record<string, unknown>,
  ): Promise<void> {
    this.lastProgressEvent.delete(id);
    await this.repository.change(id, set, { type: set.state, data });
  }
}

export function isFinished(operation: OperationEntity): boolean {
  return operation.finishedAt !== null;
}
