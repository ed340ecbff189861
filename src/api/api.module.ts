import { Module } from '@nestjs/common';
import { APP_GUARD, APP_INTERCEPTOR } from '@nestjs/core';
import { AuditInterceptor } from '../security/audit.interceptor.js';
import { AuthGuard } from '../security/auth.guard.js';
import { SecurityModule } from '../security/security.module.js';
import { DryRunInterceptor } from './dry-run.js';
import { IdempotencyInterceptor } from './idempotency/idempotency.interceptor.js';
import { IdempotencyRepository } from './idempotency/idempotency.repository.js';
import { InFlightRequests } from './in-flight-requests.js';
import { UnknownFieldsInterceptor } from './unknown-fields.js';

/** What every request passes, in this order: token, audit, dry run, idempotency, unknown fields. `configureApi` adds the rest. */
@Module({
  imports: [SecurityModule],
  providers: [
    IdempotencyRepository,
    InFlightRequests,
    { provide: APP_GUARD, useClass: AuthGuard },
    { provide: APP_INTERCEPTOR, useClass: AuditInterceptor },
    { provide: APP_INTERCEPTOR, useClass: DryRunInterceptor },
    { provide: APP_INTERCEPTOR, useClass: IdempotencyInterceptor },
    { provide: APP_INTERCEPTOR, useClass: UnknownFieldsInterceptor },
  ],
})
export class ApiModule {}
