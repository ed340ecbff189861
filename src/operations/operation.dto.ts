import { ApiProperty } from '@nestjs/swagger';
import type { OperationEntity } from './operation.entity.js';

class SubjectDto {
  @ApiProperty({ example: 'upgrade' })
  type: string;

  @ApiProperty({ example: 'orders-14-to-18' })
  id: string;
}

class ProgressDto {
  @ApiProperty({ type: Number, nullable: true, example: 42.5, description: '0 to 100; null where it cannot be known.' })
  percent: number | null;

  @ApiProperty({ example: 'copying sales.orders' })
  message: string;

  @ApiProperty({ type: Number, nullable: true, example: 30 })
  etaSeconds: number | null;
}

export class OperationDto {
  @ApiProperty({ format: 'uuid', example: '0191e7a4-5d0a-4d8e-9a55-0e5f4a2d7c11' })
  id: string;

  @ApiProperty({ example: 'upgrade' })
  kind: string;

  @ApiProperty({ type: SubjectDto })
  subject: SubjectDto;

  @ApiProperty({ enum: ['queued', 'running', 'waiting', 'succeeded', 'failed', 'cancelled'], example: 'running' })
  state: string;

  @ApiProperty({ description: 'Null before there is any.', type: ProgressDto, nullable: true })
  progress: ProgressDto | null;

  @ApiProperty({ type: String, format: 'date-time', nullable: true })
  startedAt: string | null;

  @ApiProperty({ type: String, format: 'date-time', nullable: true })
  finishedAt: string | null;

  @ApiProperty({ type: Object, nullable: true, description: 'What it produced, once succeeded.' })
  result: Record<string, unknown> | null;

  @ApiProperty({ type: Object, nullable: true, description: 'The problem document, once failed.' })
  problem: Record<string, unknown> | null;

  static from(operation: OperationEntity): OperationDto {
    return {
      id: operation.id,
      kind: operation.kind,
      subject: { type: operation.subjectType, id: operation.subjectId },
      state: operation.state,
      progress: operation.progress,
      startedAt: operation.startedAt?.toISOString() ?? null,
      finishedAt: operation.finishedAt?.toISOString() ?? null,
      result: operation.result,
      problem: operation.problem,
    };
  }
}
