import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

interface Way {
  near: Socket;
  far: Socket;
  /** Something of it was swallowed: nothing later would make sense to the other side, so all of it is. */
  dead: boolean;
}

/**
 * A way to a server that can be cut and restored at the same port, or that swallows everything without a word: the
 * black hole of a lost route, where neither end is told anything.
 */
export class Network {
  private listener: Server | null = null;
  private readonly ways = new Set<Way>();
  private frozen = false;
  private trap: Buffer | null = null;
  private last: Buffer | null = null;
  private disguise: [from: Buffer, to: Buffer] | null = null;
  port = 0;

  private readonly watched = new Map<string, number>();

  private constructor(private serverPort: number) {}

  static async to(serverPort: number): Promise<Network> {
    const network = new Network(serverPort);
    await network.restore();
    return network;
  }

  /** Whether it swallows everything at this moment. */
  get isFrozen(): boolean {
    return this.frozen;
  }

  async restore(): Promise<void> {
    // Half-open, so that the end of one side is passed on only if and when we do so.
    const listener = createServer({ allowHalfOpen: true }, (near) => this.join(near));
    await new Promise<void>((resolve) => listener.listen(this.port, '127.0.0.1', resolve));
    this.port = (listener.address() as AddressInfo).port;
    this.listener = listener;
  }

  /** Ends every connection, on both sides; new ones are refused until `restore`. */
  async cut(): Promise<void> {
    const listener = this.listener;
    this.listener = null;
    const closed = new Promise<void>((resolve) => (listener ? listener.close(() => resolve()) : resolve()));
    for (const { near, far } of this.ways) {
      near.destroy();
      far.destroy();
    }
    this.ways.clear();
    await closed;
  }

  /** From now on nothing gets through in either direction, ends of connections included; new ones hear nothing. */
  freeze(): void {
    this.frozen = true;
  }

  /** New connections are led to another server. */
  leadTo(serverPort: number): void {
    this.serverPort = serverPort;
  }

  /** Counts the messages of clients that hold `text`, from now on. */
  count(text: string): () => number {
    this.watched.set(text, 0);
    return () => this.watched.get(text)!;
  }

  /** Freezes as soon as a client sends `text`, which is swallowed with the rest. */
  freezeAt(text: string): void {
    this.trap = Buffer.from(text);
  }

  /** Lets `text` of a client through, and nothing more from then on: it is done, but nobody hears of it. */
  freezeAfter(text: string): void {
    this.last = Buffer.from(text);
  }

  /** Whoever asks hears `to` where the server says `from`, of the same length. */
  pretend(from: string, to: string): void {
    this.disguise = [Buffer.from(from), Buffer.from(to)];
  }

  private heard(data: Buffer): Buffer {
    const [from, to] = this.disguise ?? [];
    if (from === undefined || to === undefined) return data;
    for (let at = data.indexOf(from); at >= 0; at = data.indexOf(from, at + 1)) to.copy(data, at);
    return data;
  }

  /** Lets everything through again, but for the connections that lost something: the server keeps those, silent. */
  thaw(): void {
    this.trap = null;
    this.last = null;
    this.frozen = false;
  }

  /** Ends every connection towards the clients; the server is not told. */
  dropClients(): void {
    for (const way of this.ways) {
      way.dead = true;
      way.near.destroy();
    }
  }

  /** The server learns of the connections that lost something, as the keepalive of its system would tell it in time. */
  endDead(): void {
    for (const way of this.ways) if (way.dead) way.far.destroy();
  }

  private join(near: Socket): void {
    const far = connect({ port: this.serverPort, host: '127.0.0.1', allowHalfOpen: true });
    const way: Way = { near, far, dead: false };
    this.ways.add(way);
    const swallowed = (): boolean => (way.dead ||= this.frozen);
    near.on('data', (data) => {
      if (this.trap && data.includes(this.trap)) this.frozen = true;
      for (const [text, count] of this.watched) if (data.includes(text)) this.watched.set(text, count + 1);
      if (!swallowed()) far.write(data);
      if (this.last && data.includes(this.last)) this.frozen = true;
    });
    far.on('data', (data) => {
      if (!swallowed()) near.write(this.heard(data));
    });
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      socket.on('error', () => {});
      socket.on('end', () => {
        if (!swallowed()) other.end();
      });
      socket.on('close', () => {
        if (swallowed()) return;
        this.ways.delete(way);
        other.destroy();
      });
    }
  }
}
