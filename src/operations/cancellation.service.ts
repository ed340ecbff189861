import { Injectable } from '@nestjs/common';
import { Engine } from '../engine/engine.js';
import { Problem } from '../problems/problem.js';
import type { OperationEntity } from './operation.entity.js';
import { isFinished, OperationsService } from './operations.service.js';

/** Cancelling on request. Apart from OperationsService because it needs the engine, and the engine needs operations. */
@Injectable()
export class CancellationService {
  constructor(
    private readonly operations: OperationsService,
    private readonly engine: Engine,
  ) {}

  /** @throws WRONG_STATE where it has ended, or is an upgrade, which has a way of its own to be ended */
  async cancellable(id: string): Promise<OperationEntity> {
    const operation = await this.operations.get(id);
    if (isFinished(operation)) throw new Problem('WRONG_STATE', `the operation has already ${operation.state}`);
    if (operation.subjectType === 'upgrade') {
      throw new Problem('WRONG_STATE', 'an upgrade is not cancelled but aborted, which puts everything back', {
        hint: `POST /v1/upgrades/${encodeURIComponent(operation.subjectId)}/abort`,
      });
    }
    return operation;
  }

  /** Asks it to end; it is cancelled once it has cleaned up. */
  async cancel(id: string): Promise<OperationEntity> {
    await this.cancellable(id);
    await this.engine.cancel(id);
    return await this.operations.get(id);
  }
}
