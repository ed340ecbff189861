import { Module } from '@nestjs/common';
import { OperationsController } from './operations.controller.js';
import { OperationsModule } from './operations.module.js';

/** Apart from OperationsModule because the controller needs the engine, and the engine needs operations. */
@Module({ imports: [OperationsModule], controllers: [OperationsController] })
export class OperationsApiModule {}
