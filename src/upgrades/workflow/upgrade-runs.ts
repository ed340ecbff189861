import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type { WorkflowContext } from '../../engine/engine.js';
import { Leases } from '../../engine/lease.repository.js';
import { Operations } from '../../operations/operations.js';
import { registerSecret } from '../../observability/redact.js';
import { Problem } from '../../problems/problem.js';
import { AuditService } from '../../security/audit.service.js';
import { SecretBox } from '../../security/secret-box.js';
import { ServersService } from '../../servers/servers.service.js';
import { VerificationRepository } from '../../verification/verification.repository.js';
import { UpgradeRepository } from '../upgrade.repository.js';
import { UpgradeRun } from './upgrade-run.js';

/** Opens what a workflow needs to carry out an upgrade; closes what a shutdown cut off. */
@Injectable()
export class UpgradeRuns implements OnApplicationShutdown {
  private readonly unclosed = new Set<UpgradeRun>();

  constructor(
    private readonly repository: UpgradeRepository,
    private readonly servers: ServersService,
    private readonly leases: Leases,
    private readonly operations: Operations,
    private readonly audit: AuditService,
    private readonly secrets: SecretBox,
    private readonly verifications: VerificationRepository,
  ) {}

  async open(name: string, context: WorkflowContext): Promise<UpgradeRun> {
    const upgrade = await this.repository.find(name);
    if (!upgrade) throw new Problem('NOT_FOUND', `there is no upgrade ${name}`);
    const passwords =
      upgrade.secrets === null
        ? {}
        : (JSON.parse(this.secrets.open(upgrade.secrets, `upgrade ${name}`)) as Record<string, string>);
    for (const password of Object.values(passwords)) registerSecret(password);
    const facts = { ...upgrade.facts, ...(await this.repository.fingerprints(name)) };
    const run = new UpgradeRun({ ...upgrade, facts }, context.operationId, context.signal, passwords, {
      repository: this.repository,
      servers: this.servers,
      leases: this.leases,
      operations: this.operations,
      audit: this.audit,
      verifications: this.verifications,
    });
    this.unclosed.add(run);
    // Its streams would else take the slots from the next carrier again and again.
    context.left.addEventListener('abort', () => void this.close(run), { once: true });
    return run;
  }

  async close(run: UpgradeRun): Promise<void> {
    this.unclosed.delete(run);
    await run.close();
  }

  /** Workflows that were cut off never get to close what they had opened. */
  async onApplicationShutdown(): Promise<void> {
    await Promise.all([...this.unclosed].map((run) => this.close(run)));
  }
}
