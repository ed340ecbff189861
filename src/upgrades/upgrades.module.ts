import { Module } from '@nestjs/common';
import { OperationsModule } from '../operations/operations.module.js';
import { ReplicationSlotsModule } from '../replication-slots/replication-slots.module.js';
import { ServersModule } from '../servers/servers.module.js';
import { VerificationModule } from '../verification/verification.module.js';
import { UpgradeSlotOwners } from './upgrade-slot-owners.js';
import { UpgradeReadiness } from './upgrade-readiness.js';
import { UpgradeRepository } from './upgrade.repository.js';
import { UpgradesController } from './upgrades.controller.js';
import { UpgradesService } from './upgrades.service.js';
import { AbortWorkflow } from './workflow/abort.workflow.js';
import { FinalizeWorkflow } from './workflow/finalize.workflow.js';
import { ForwardWorkflow } from './workflow/forward.workflow.js';
import { LeaveSourceWorkflow } from './workflow/leave-source.workflow.js';
import { RollbackWorkflow } from './workflow/rollback.workflow.js';
import { UpgradeRuns } from './workflow/upgrade-runs.js';

@Module({
  imports: [OperationsModule, ServersModule, ReplicationSlotsModule, VerificationModule],
  controllers: [UpgradesController],
  providers: [
    UpgradeRepository,
    UpgradeReadiness,
    UpgradeSlotOwners,
    UpgradeRuns,
    ForwardWorkflow,
    AbortWorkflow,
    RollbackWorkflow,
    LeaveSourceWorkflow,
    FinalizeWorkflow,
    UpgradesService,
  ],
})
export class UpgradesModule {}
