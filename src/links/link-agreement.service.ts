import { Injectable } from '@nestjs/common';
import { agreementOf } from './agreement/agreement.js';
import type { AgreementCheck } from './agreement/check.js';
import { compareLink } from './drift/compare-link.js';
import { LastLooks } from './drift/last-looks.js';
import { LinkLooks, type LinkName } from './link-looks.js';
import { type LinkProcesses, processesOf } from './link-processes.js';
import { type Link, linkOf } from './links.service.js';

/** A link with what carries it, and whether its ends agree. */
export interface CheckedLink extends Link, LinkProcesses {
  agreement: AgreementCheck[];
}

/** Looks at both ends of one link and says in what they agree. */
@Injectable()
export class LinkAgreement {
  constructor(
    private readonly looks: LinkLooks,
    private readonly last: LastLooks,
  ) {}

  /** Rejects with NOT_FOUND, and where the subscriber does not answer. */
  async of(name: LinkName): Promise<CheckedLink> {
    const look = await this.looks.both(await this.looks.subscriber(name));
    const { server, database, view, target, publisher, schema } = look;
    const link = linkOf(server, database, view);
    const [schemaDrift] = await this.last.of([link.subscriber]);
    return {
      ...link,
      // By its identifier also one that is registered under another address.
      publisher:
        link.publisher ??
        (target.publisher && { ...target.publisher, publications: view.publications, slot: publisher?.slot ?? null }),
      schemaDrift: schemaDrift!,
      ...processesOf(look),
      agreement: agreementOf(look, schema === null ? null : compareLink(schema)),
    };
  }
}
