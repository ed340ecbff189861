import type { Socket } from 'node:net';
import type { MessagePort } from 'node:worker_threads';
import { DatabaseError, type Client } from 'pg';

/** libpq takes these from the server at login; pg_dump decides by them how to quote and which catalogs to read. */
const REPORTED_SETTINGS = [
  ...['server_version', 'server_encoding', 'client_encoding', 'is_superuser', 'session_authorization', 'DateStyle'],
  ...['IntervalStyle', 'TimeZone', 'integer_datetimes', 'standard_conforming_strings', 'application_name'],
  ...['in_hot_standby', 'default_transaction_read_only'],
];

const READY = 0x5a; // 'Z'
const ERROR = 0x45; // 'E'

/** The server's half of a login, as if libpq had authenticated itself on `client`'s connection. */
export async function greetingFor(client: Client): Promise<Uint8Array> {
  const { rows } = await client.query<{ name: string; setting: string }>(
    `select s.name, pg_catalog.current_setting(s.name, true) as setting
       from pg_catalog.unnest($1::text[]) as s(name)
      where pg_catalog.current_setting(s.name, true) is not null`,
    [REPORTED_SETTINGS],
  );
  const authenticated = message('R', int32(0));
  const parameters = rows.map(({ name, setting }) => message('S', Buffer.from(`${name}\0${setting}\0`)));
  // pg_dump never cancels, so the key data need not be real.
  const keyData = message('K', Buffer.concat([int32(0), int32(0)]));
  const ready = message('Z', Buffer.from('I'));
  return new Uint8Array(Buffer.concat([authenticated, ...parameters, keyData, ready]));
}

/** Carries whole exchanges between a port and a server: bytes out, everything up to ReadyForQuery back. */
export class ServerRelay {
  /** The last error the server reported, for a precise Problem. */
  lastError: DatabaseError | null = null;
  private readonly socket: Socket;

  constructor(client: Client) {
    // The socket after TLS and login. node-pg's own reader is detached: from here on the bytes are pg_dump's.
    this.socket = (client as unknown as { connection: { stream: Socket } }).connection.stream;
    this.socket.removeAllListeners('data');
  }

  /** Serves the port until the connection fails; never resolves. */
  serve(port: MessagePort, flag: SharedArrayBuffer): Promise<never> {
    const counter = new Int32Array(flag);
    let pending: Buffer[] = [];
    return new Promise((_resolve, reject) => {
      this.socket.on('data', (chunk: Buffer) => {
        pending.push(chunk);
        if (!couldBeComplete(pending)) return;
        const answer = Buffer.concat(pending);
        const end = this.readAnswer(answer);
        pending = [answer];
        if (!end) return;
        pending = [];
        port.postMessage(new Uint8Array(answer));
        Atomics.add(counter, 0, 1);
        Atomics.notify(counter, 0);
      });
      this.socket.on('error', reject);
      this.socket.once('close', () => {
        // A server that ends a session says why and is never ready again.
        this.readAnswer(Buffer.concat(pending));
        reject(this.lastError ?? new Error('Connection terminated unexpectedly'));
      });
      port.on('message', (bytes: Uint8Array) => this.socket.write(bytes));
    });
  }

  close(): void {
    this.socket.destroy();
  }

  /** Walks the messages; true when the bytes end exactly with ReadyForQuery. */
  private readAnswer(bytes: Buffer): boolean {
    let offset = 0;
    let last = 0;
    while (offset + 5 <= bytes.length) {
      const next = offset + 1 + bytes.readInt32BE(offset + 1);
      if (next > bytes.length) return false;
      last = bytes[offset]!;
      if (last === ERROR) this.lastError = parseError(bytes.subarray(offset + 5, next));
      offset = next;
    }
    return offset === bytes.length && last === READY;
  }
}

/** A cheap look at the tail: ReadyForQuery is `Z`, length 5, one byte of transaction status. */
function couldBeComplete(chunks: Buffer[]): boolean {
  const lastChunk = chunks.at(-1)!;
  const tail = lastChunk.length >= 6 ? lastChunk : Buffer.concat(chunks);
  return tail.length >= 6 && tail[tail.length - 6] === READY && tail.readInt32BE(tail.length - 5) === 5;
}

/** ErrorResponse: fields of one type byte and a zero-terminated text, ended by a zero byte. */
function parseError(body: Buffer): DatabaseError {
  const fields = new Map<string, string>();
  for (const field of body.toString('utf8').split('\0')) {
    if (field.length > 0) fields.set(field[0]!, field.slice(1));
  }
  const error = new DatabaseError(fields.get('M') ?? 'unknown error', body.length, 'error');
  error.code = fields.get('C');
  error.hint = fields.get('H');
  error.severity = fields.get('S');
  return error;
}

function message(type: string, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(type), int32(body.length + 4), body]);
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}
