import { once } from "node:events";
import net from "node:net";

/** Stands between clients and their server, and breaks what runs through it in the ways a network does. */
export class TcpProxy {
  readonly #listening: net.Server;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #connections = new Set<Connection>();
  #refusing = false;
  #stalled = false;
  #transactions = 0;
  #attempts = 0;
  #lose: ((answer: Buffer, connection: Connection) => boolean) | undefined;

  private constructor(url: string) {
    const { hostname: host, port } = new URL(url);
    this.#target = { host, port: Number(port) };
    this.#listening = net.createServer((client) => this.#accept(client));
  }

  /** @param url Of the server behind it. */
  static async start(url: string, host = "127.0.0.1", port = 0): Promise<TcpProxy> {
    const proxy = new TcpProxy(url);
    proxy.#listening.listen(port, host);
    await once(proxy.#listening, "listening");
    return proxy;
  }

  get port(): number {
    return (this.#listening.address() as net.AddressInfo).port;
  }

  /** That URL, by way of the proxy. */
  through(url: string): string {
    const through = new URL(url);
    through.host = `127.0.0.1:${this.port}`;
    return through.href;
  }

  /** Ends all connections, and any new one until `restore`. */
  cut(): void {
    this.#refusing = true;
    for (const connection of this.#connections) connection.end();
  }

  restore(): void {
    this.#refusing = false;
  }

  /** Nothing arrives any more, in either direction and on new connections too; after `resume` all of it does, late. */
  stall(): void {
    this.#stalled = true;
    for (const connection of this.#connections) connection.stall();
  }

  resume(): void {
    this.#stalled = false;
    for (const connection of this.#connections) connection.resume();
  }

  /** Of connections that named themselves so when they were opened, nothing arrives any more, in either direction. */
  silence(application: string): void {
    for (const connection of this.#connections) {
      if (connection.opening.includes(application)) connection.silent = true;
    }
  }

  /** How often the server has said so far that it is ready for the next query: after each transaction, outside of blocks. */
  get transactions(): number {
    return this.#transactions;
  }

  /** How often somebody has tried to connect so far. */
  get attempts(): number {
    return this.#attempts;
  }

  /** Whether a connection is open that named itself so when it was opened. */
  carries(application: string): boolean {
    return [...this.#connections].some(({ opening }) => opening.includes(`application_name\0${application}\0`));
  }

  /** The next answer of the server that contains this text is lost, and its connection with it. Resolves then. */
  loseAnswer(text: string): Promise<void> {
    return this.#loseOne((answer) => answer.includes(text));
  }

  /** The same with the answer to the next request that contains this text. */
  loseAnswerTo(text: string): Promise<void> {
    return this.#loseOne((_answer, { request }) => request.includes(text));
  }

  #loseOne(isMeant: (answer: Buffer, connection: Connection) => boolean): Promise<void> {
    return new Promise((lost) => {
      this.#lose = (answer, connection) => {
        if (!isMeant(answer, connection)) return false;
        this.#lose = undefined;
        connection.end();
        lost();
        return true;
      };
    });
  }

  async stop(): Promise<void> {
    this.cut();
    this.#listening.close();
    await once(this.#listening, "close");
  }

  #accept(client: net.Socket): void {
    this.#attempts += 1;
    if (this.#refusing) {
      client.destroy();
      return;
    }
    const connection = new Connection(client, net.connect(this.#target));
    this.#connections.add(connection);
    if (this.#stalled) connection.stall();
    connection.ended.then(() => this.#connections.delete(connection));
    connection.onAnswer = (bytes) => {
      this.#transactions += occurrences(bytes, READY);
      return !this.#lose?.(bytes, connection);
    };
  }
}

/** The message ReadyForQuery, of a session that is in no transaction. */
const READY = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);

function occurrences(bytes: Buffer, part: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(part); at >= 0; at = bytes.indexOf(part, at + part.length)) count += 1;
  return count;
}

class Connection {
  readonly ended: Promise<void>;
  /** The first bytes, in which a client says who it is. */
  opening = "";
  /** What the client sent since the last answer. */
  request = Buffer.alloc(0);
  silent = false;
  /** Whether to pass on what the server answered. */
  onAnswer: (bytes: Buffer) => boolean = () => true;
  readonly #client: net.Socket;
  readonly #server: net.Socket;

  constructor(client: net.Socket, server: net.Socket) {
    this.#client = client;
    this.#server = server;
    client.on("data", (bytes) => {
      this.opening ||= bytes.toString("latin1");
      this.request = Buffer.concat([this.request, bytes]);
      if (!this.silent) server.write(bytes);
    });
    server.on("data", (bytes) => {
      if (!this.silent && this.onAnswer(bytes)) client.write(bytes);
      this.request = Buffer.alloc(0);
    });
    this.ended = new Promise((resolve) => {
      for (const socket of [client, server]) {
        socket.on("error", () => this.end());
        socket.on("close", () => {
          this.end();
          resolve();
        });
      }
    });
  }

  stall(): void {
    this.#client.pause();
    this.#server.pause();
  }

  resume(): void {
    this.#client.resume();
    this.#server.resume();
  }

  end(): void {
    this.#client.destroy();
    this.#server.destroy();
  }
}
