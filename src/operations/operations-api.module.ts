import { Module } from '@nestjs/common';
import { CancellationService } from './cancellation.service.js';
import { OperationsController } from './operations.controller.js';
import { OperationsModule } from './operations.module.js';

/** Apart from OperationsModule because cancelling needs the engine, and the engine needs operations. */
@Module({ imports: [OperationsModule], controllers: [OperationsController], providers: [CancellationService] })
export class OperationsApiModule {}
