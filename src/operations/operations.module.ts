import { Module } from '@nestjs/common';
import { OperationRepository } from './operation.repository.js';
import { Operations } from './operations.js';
import { OperationsService } from './operations.service.js';

@Module({
  providers: [OperationRepository, OperationsService, { provide: Operations, useExisting: OperationsService }],
  exports: [Operations, OperationsService],
})
export class OperationsModule {}
