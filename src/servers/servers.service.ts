import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { cursorKey, type Page, pageOf } from '../api/page.js';
import { registerSecret } from '../observability/redact.js';
import {
  type DatabaseFacts,
  readDatabases,
  readServerFacts,
  type ServerFacts,
} from '../postgres/catalog/server-facts.js';
import { boundedAnswers, type ConnectionTarget, type TlsSettings } from '../postgres/connection.js';
import type { SessionPool } from '../postgres/session-pool.js';
import { SessionPools } from '../postgres/session-pools.js';
import { type Session, withSession } from '../postgres/session.js';
import { Problem } from '../problems/problem.js';
import { invalidInput, pointerTo } from '../problems/validation.pipe.js';
import { SecretBox } from '../security/secret-box.js';
import { within } from './answer-limit.js';
import { sendsPasswordElsewhere } from './sends-password-elsewhere.js';
import { ServerUsage } from './server-usage.js';
import type { ServerEntity } from './server.entity.js';
import { ServerRepository } from './server.repository.js';
import { type AdvertisedTls, advertisedTlsOf, budgetOf, presentServer, type ServerView } from './server-view.js';

/** Everything by which a server is reached. */
export interface ServerAddress {
  host: string;
  port: number;
  user: string;
  password: string;
  database: string;
  tls: TlsSettings;
  advertisedHost: string | null;
  advertisedPort: number | null;
  advertisedTls: AdvertisedTls | null;
  walBudgetBytes: number | null;
}

/** The registered servers, and the way to their databases for every feature. */
@Injectable()
export class ServersService implements OnApplicationShutdown {
  private readonly pools = new SessionPools();

  constructor(
    private readonly servers: ServerRepository,
    private readonly box: SecretBox,
    private readonly usage: ServerUsage,
  ) {}

  /** Looks at the server first: nothing is stored unless it was reached, let us in, and is of a version we know. */
  async register(name: string, address: ServerAddress, dryRun: boolean): Promise<ServerView> {
    if (await this.servers.find(name)) throw nameTaken(name);
    const server = this.toEntity(name, address, await probe(targetOf(address)));
    if (!dryRun && !(await this.servers.insert(server))) throw nameTaken(name);
    return this.present(server);
  }

  /** As `register`; and the server must still be of the same cluster, for names are what everything else refers to. */
  async change(name: string, change: Partial<ServerAddress>, dryRun: boolean): Promise<ServerView> {
    const before = await this.get(name);
    const stored = this.addressOf(before);
    const address = { ...stored, ...change };
    const elsewhere = change.password === undefined ? sendsPasswordElsewhere(stored, address) : [];
    if (elsewhere.length > 0) throw passwordNeeded(elsewhere);
    const facts = await probe(targetOf(address));
    if (facts.systemIdentifier !== before.facts.systemIdentifier) {
      throw new Problem(
        'CONFLICT',
        `the server at ${address.host}:${address.port} is of another cluster than "${name}"`,
        {
          hint: 'Register it under a name of its own.',
        },
      );
    }
    const server = { ...this.toEntity(name, address, facts), createdAt: before.createdAt };
    if (!dryRun) {
      if (!(await this.servers.replace(server, before.revision))) {
        throw new Problem('CONFLICT', `"${name}" was changed by another request meanwhile`, { retryable: true });
      }
      await this.pools.closeServer(name);
    }
    return this.present(server);
  }

  async remove(name: string, dryRun: boolean): Promise<void> {
    await this.get(name);
    const users = await this.usage.of(name);
    if (users.length > 0) {
      throw new Problem('CONFLICT', `"${name}" is used by ${users.join(', ')}`, { extra: { usedBy: users } });
    }
    if (dryRun) return;
    if (!(await this.servers.remove(name))) throw unknownServer(name);
    await this.pools.closeServer(name);
  }

  async view(name: string): Promise<ServerView> {
    return this.present(await this.get(name));
  }

  async list(limit: number, cursor?: string): Promise<Page<ServerView>> {
    const after = cursorKey(cursor, 'text')?.[0] ?? null;
    const page = pageOf(await this.servers.page(limit + 1, after), limit, ({ name }) => [name]);
    const relatives = await this.servers.relatives(page.items.map(({ facts }) => facts.systemIdentifier));
    return { ...page, items: page.items.map((server) => presentServer(server, relatives)) };
  }

  /** Looks at the server now. One that cannot be reached is an answer, not an error. */
  async check(name: string, dryRun: boolean): Promise<ServerView> {
    const server = await this.get(name);
    const seen = await look(this.targetFor(server));
    if (dryRun) return this.present({ ...server, ...seen });
    if (seen.problem === null) this.pools.noteReachable(name);
    await this.servers.noteCheck(name, server.revision, seen);
    return this.view(name);
  }

  async databases(name: string): Promise<DatabaseFacts[]> {
    return this.withSession(name, undefined, readDatabases);
  }

  /** How to reach a database of the server; the server's own database by default. Holds the password. */
  async target(name: string, database?: string): Promise<ConnectionTarget> {
    return this.targetFor(await this.get(name), database);
  }

  /** The same as other servers reach it: what goes into a subscription's connection string. */
  async advertisedTarget(name: string, database?: string): Promise<ConnectionTarget & { rootCert: string | null }> {
    const server = await this.get(name);
    const { advertisedHost, advertisedPort } = server;
    const target = this.targetFor(server, database);
    const { advertisedTlsMode, advertisedRootCert } = server;
    return {
      ...target,
      host: advertisedHost ?? target.host,
      port: advertisedPort ?? target.port,
      tls: { ...target.tls, mode: advertisedTlsMode ?? target.tls.mode },
      rootCert: advertisedRootCert,
    };
  }

  /** What the last look at the server showed; may be old. */
  async facts(name: string): Promise<ServerFacts> {
    return (await this.get(name)).facts;
  }

  /** What its administrators allow slots to keep, in bytes; null: nothing was said. */
  async walBudget(name: string): Promise<number | null> {
    return budgetOf(await this.get(name));
  }

  /** Names of the registered servers of that cluster. */
  async membersOf(systemIdentifier: string): Promise<string[]> {
    return (await this.servers.relatives([systemIdentifier])).map(({ name }) => name);
  }

  /** A few shared sessions on the database, for short queries. Long work opens its own with `target`. */
  async pool(name: string, database?: string): Promise<SessionPool> {
    const server = await this.get(name);
    return this.pools.for(name, server.revision, this.targetFor(server, database));
  }

  /** Lends `work` a pooled session; it leaves no transaction open and no setting changed. */
  async withSession<T>(name: string, database: string | undefined, work: (session: Session) => Promise<T>): Promise<T> {
    return (await this.pool(name, database)).use(work);
  }

  /**
   * The same for one that may be silent: rejects with SERVER_TIMEOUT after `ms`, and gives up the session in which no
   * answer came, which is of no use to others.
   */
  look<T>(name: string, database: string | undefined, ms: number, work: (session: Session) => Promise<T>): Promise<T> {
    return within(
      ms,
      this.withSession(name, database, (session) => within(ms, work(session))),
    );
  }

  /** After the last request has ended and before our own database is closed. */
  async onApplicationShutdown(): Promise<void> {
    await this.pools.close();
  }

  private async get(name: string): Promise<ServerEntity> {
    const server = await this.servers.find(name);
    if (!server) throw unknownServer(name);
    return server;
  }

  private async present(server: ServerEntity): Promise<ServerView> {
    return presentServer(server, await this.servers.relatives([server.facts.systemIdentifier]));
  }

  private targetFor(server: ServerEntity, database?: string): ConnectionTarget {
    return targetOf({ ...this.addressOf(server), ...(database === undefined ? {} : { database }) });
  }

  private addressOf(server: ServerEntity): ServerAddress {
    return {
      host: server.host,
      port: server.port,
      user: server.login,
      password: this.box.open(server.sealedPassword, ownerOf(server.name)),
      database: server.database,
      tls: { mode: server.tlsMode, ...(server.tlsCa === null ? {} : { ca: server.tlsCa }) },
      advertisedHost: server.advertisedHost,
      advertisedPort: server.advertisedPort,
      advertisedTls: advertisedTlsOf(server),
      walBudgetBytes: budgetOf(server),
    };
  }

  private toEntity(name: string, address: ServerAddress, facts: ServerFacts): ServerEntity {
    const now = new Date();
    return {
      name,
      host: address.host,
      port: address.port,
      login: address.user,
      database: address.database,
      tlsMode: address.tls.mode,
      tlsCa: address.tls.ca ?? null,
      sealedPassword: this.box.seal(address.password, ownerOf(name)),
      advertisedHost: address.advertisedHost,
      advertisedPort: address.advertisedPort,
      advertisedTlsMode: address.advertisedTls?.mode ?? null,
      advertisedRootCert: address.advertisedTls?.rootCert ?? null,
      walBudgetBytes: address.walBudgetBytes === null ? null : String(address.walBudgetBytes),
      revision: randomUUID(),
      facts,
      factsAt: now,
      checkedAt: now,
      problem: null,
      createdAt: now,
      updatedAt: now,
    };
  }
}

/** From here on the password is in use, so it must not show up in any text. */
function targetOf({ host, port, user, password, database, tls }: ServerAddress): ConnectionTarget {
  registerSecret(password, [user, database, host]);
  return { host, port, user, password, database, tls };
}

/** What a look at the server changes about what is known of it. */
async function look(
  target: ConnectionTarget,
): Promise<Pick<ServerEntity, 'problem' | 'checkedAt'> & Partial<Pick<ServerEntity, 'facts' | 'factsAt'>>> {
  const now = new Date();
  try {
    return { facts: await probe(target), factsAt: now, problem: null, checkedAt: now };
  } catch (error) {
    if (!(error instanceof Problem) || error.code === 'INTERNAL') throw error;
    return { problem: error.toDocument(), checkedAt: now };
  }
}

/** A session of its own: neither a pool's back-off nor its old settings may colour the answer. */
function probe(target: ConnectionTarget): Promise<ServerFacts> {
  return withSession(target, { purpose: 'check', connectTimeoutMs: 5_000, ...boundedAnswers(10_000) }, readServerFacts);
}

function ownerOf(server: string): string {
  return `server ${server}`;
}

function unknownServer(name: string): Problem {
  return new Problem('NOT_FOUND', `there is no server named "${name}"`);
}

function passwordNeeded(fields: string[]): Problem {
  const detail = `is needed with a change of ${fields.join(', ')}, which would have the stored one sent elsewhere`;
  const { options, ...problem } = invalidInput([{ pointer: pointerTo(['password']), detail }]);
  return new Problem(problem.code, problem.detail, {
    ...options,
    hint: "Give the login's password in the same request, also where it stays as it is.",
  });
}

function nameTaken(name: string): Problem {
  return new Problem('ALREADY_EXISTS', `there is a server named "${name}"`);
}
