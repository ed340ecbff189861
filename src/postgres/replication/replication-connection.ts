import type { Client, ClientConfig } from 'pg';
import type { ConnectionOptions } from 'node:tls';
import type { Duplex } from 'node:stream';
import { LogicalReplicationService } from 'pg-logical-replication';
import { Problem } from '../../problems/problem.js';
import { parseLsn, type Lsn } from '../../shared/lsn.js';
import { clientConfig, liftTimeoutsExpression, tlsAttempts, type ConnectionTarget } from '../connection.js';
import { translateConnectError } from '../translate-error.js';
import { readSourceState, type SourceState } from './source-state.js';
import { encodeStandbyStatus, type StandbyStatus } from './standby-status.js';

/** Time for the goodbye: the server acknowledging the end of the copy, then the socket closing. */
const GOODBYE_MS = 1_000;
const OPEN_TIMEOUT_MS = 20_000;

export interface ReplicationConnectionOptions {
  target: ConnectionTarget;
  slotName: string;
  purpose: string;
  /** Run on the walsender's session first: what makes the slot, where it lives no longer than the session. */
  prepare?: string;
  /** Sees the state of server and slot and gives the START_REPLICATION command; throws to give up. */
  command: (state: SourceState) => string;
  /** One pgoutput message. The buffer is valid during the call only. Must not throw. */
  onData: (message: Buffer) => void;
  /** Every transaction whose commit starts below `walEnd` has been sent. Must not throw. */
  onKeepalive: (walEnd: Lsn, replyRequested: boolean) => void;
}

/** What node-pg keeps below its client and the replication library relies on too. */
interface WireConnection {
  stream: Duplex;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
}

type ServicePlugin = Parameters<LogicalReplicationService['subscribe']>[0];

/**
 * One walsender connection carried by pg-logical-replication, whose own acknowledgements, timers, decoding and
 * queueing stay off: they confirm what was merely received. Lives for one connection; it does not reconnect.
 */
export class ReplicationConnection {
  /** Resolves when streaming is over: with the error that ended it, or null when the server just ended it. */
  readonly ended: Promise<unknown>;
  private readonly started: Promise<void>;
  private wire: WireConnection | null = null;
  private over = false;
  private muted = false;

  /** Private at run time too, for the password in it. */
  readonly #options: ReplicationConnectionOptions;
  readonly #service: LogicalReplicationService;

  private constructor(options: ReplicationConnectionOptions, ssl: false | ConnectionOptions) {
    this.#options = options;
    const config: ClientConfig = clientConfig(
      options.target,
      { purpose: options.purpose, replication: true, statementTimeoutMs: OPEN_TIMEOUT_MS, lockTimeoutMs: 0 },
      ssl,
    );
    this.#service = new LogicalReplicationService(config, {
      acknowledge: { auto: false, timeoutSeconds: 0 },
      flowControl: { enabled: false },
    });
    let failure: unknown = null;
    this.#service.on('error', (error: Error) => (failure ??= error));
    this.#service.on('data', (_lsn: string, message: Buffer) => {
      if (!this.muted) options.onData(message);
    });
    this.#service.on('heartbeat', (lsn: string, _timestamp: number, shouldRespond: boolean) => {
      if (!this.muted) options.onKeepalive(parseLsn(lsn), shouldRespond);
    });
    this.started = new Promise<void>((resolve) => this.#service.on('start', () => resolve()));
    const plugin = {
      name: 'pgoutput',
      options: {},
      parse: (buffer: Buffer) => buffer,
      start: (client: Client) => this.startStreaming(client),
    } satisfies ServicePlugin;
    this.ended = this.#service
      .subscribe(plugin as ServicePlugin, options.slotName, '0/0')
      .then(
        () => failure,
        (error: unknown) => error ?? failure,
      )
      .finally(() => (this.over = true));
  }

  /** Connects and starts streaming. Rejects with what prevented it, still untranslated where the server said it. */
  static async open(options: ReplicationConnectionOptions): Promise<ReplicationConnection> {
    let refusal: unknown;
    for (const ssl of tlsAttempts(options.target.tls)) {
      const connection = new ReplicationConnection(options, ssl);
      refusal = await connection.untilStarted();
      if (refusal === undefined) return connection;
      await connection.close();
      if (translateConnectError(refusal, options.target).code !== 'SERVER_TLS_FAILED') break;
    }
    throw refusal;
  }

  /** Undefined once streaming, else what prevented it. */
  private async untilStarted(): Promise<unknown> {
    const { host, port } = this.#options.target;
    const where = `${host}:${port}`;
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<unknown>((resolve) => {
      const problem = new Problem('SERVER_TIMEOUT', `${where} did not start streaming in time`);
      timer = setTimeout(() => resolve(problem), OPEN_TIMEOUT_MS);
    });
    const ended = this.ended.then(
      (error) => error ?? new Problem('SERVER_UNREACHABLE', `${where} ended the connection before streaming`),
    );
    try {
      return await Promise.race([this.started.then(() => undefined), ended, timeout]);
    } finally {
      clearTimeout(timer);
    }
  }

  private async startStreaming(client: Client): Promise<unknown> {
    this.wire = (client as unknown as { connection: WireConnection }).connection;
    // Decoding a large transaction is one long transaction to the server.
    await client.query(`select ${liftTimeoutsExpression()}`);
    if (this.#options.prepare !== undefined) await client.query(this.#options.prepare);
    const state = await readSourceState(client, this.#options.slotName);
    return client.query(this.#options.command(state));
  }

  get alive(): boolean {
    return !this.over;
  }

  sendStatus(status: StandbyStatus): void {
    if (this.alive) this.wire?.sendCopyFromChunk(encodeStandbyStatus(status, Date.now()));
  }

  /** Stops reading from the socket; what was read already still arrives. Statuses may be sent meanwhile. */
  pause(): void {
    this.wire?.stream.pause();
  }

  resume(): void {
    if (this.alive) this.wire?.stream.resume();
  }

  /** Breaks the connection: `ended` resolves soon after. */
  break(): void {
    this.wire?.stream.destroy();
  }

  /** Ends the stream, politely if `last` can still be told to the server. Never rejects. */
  async close(last?: StandbyStatus): Promise<void> {
    this.muted = true;
    if (last && this.alive && this.wire) {
      this.sendStatus(last);
      this.wire.endCopyFrom();
      this.wire.stream.resume();
      await within(this.ended, GOODBYE_MS);
    }
    const wire = this.wire;
    await within(this.#service.destroy(), GOODBYE_MS);
    wire?.stream.destroy();
    this.over = true;
  }
}

/** Waits for the work but not longer than that; its outcome does not matter. */
async function within(work: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([
    work.then(
      () => undefined,
      () => undefined,
    ),
    limit,
  ]);
  clearTimeout(timer);
}
