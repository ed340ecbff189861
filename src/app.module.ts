import { Module } from '@nestjs/common';
import { ApiModule } from './api/api.module.js';
import { ConfigModule } from './config/config.module.js';
import { EngineModule } from './engine/engine.module.js';
import { HealthModule } from './observability/health.module.js';
import { ObservabilityModule } from './observability/observability.module.js';
import { OperationsApiModule } from './operations/operations-api.module.js';
import { ServersModule } from './servers/servers.module.js';
import { StorageModule } from './storage/storage.module.js';
import { UpgradesModule } from './upgrades/upgrades.module.js';

@Module({
  imports: [
    ConfigModule,
    ObservabilityModule,
    StorageModule,
    ApiModule,
    EngineModule,
    OperationsApiModule,
    HealthModule,
    ServersModule,
    UpgradesModule,
  ],
})
export class AppModule {}
