import { Module } from '@nestjs/common';
import { ApiModule } from './api/api.module.js';
import { ConfigModule } from './config/config.module.js';
import { EngineModule } from './engine/engine.module.js';
import { HealthModule } from './observability/health.module.js';
import { LinksModule } from './links/links.module.js';
import { ObservabilityModule } from './observability/observability.module.js';
import { OperationsApiModule } from './operations/operations-api.module.js';
import { PublicationsModule } from './publications/publications.module.js';
import { ReplicationSlotsModule } from './replication-slots/replication-slots.module.js';
import { RetentionModule } from './retention/retention.module.js';
import { SequencesModule } from './sequences/sequences.module.js';
import { ServersModule } from './servers/servers.module.js';
import { StorageModule } from './storage/storage.module.js';
import { SubscriptionsModule } from './subscriptions/subscriptions.module.js';
import { TablesModule } from './tables/tables.module.js';
import { UpgradesModule } from './upgrades/upgrades.module.js';
import { VerificationModule } from './verification/verification.module.js';

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
    PublicationsModule,
    SubscriptionsModule,
    LinksModule,
    ReplicationSlotsModule,
    TablesModule,
    SequencesModule,
    VerificationModule,
    UpgradesModule,
    RetentionModule,
  ],
})
export class AppModule {}
