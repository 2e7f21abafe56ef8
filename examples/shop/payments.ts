import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

/** How often the provider is out of order before it takes a payment. */
const REFUSALS = 2;

/** A payment provider on this machine that refuses each payment twice, and charges once for an idempotency key. */
export class Payments {
  /** Requests for each idempotency key. */
  readonly requests = new Map<string, number>();
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      const key = String(request.headers["idempotency-key"]);
      const requests = (this.requests.get(key) ?? 0) + 1;
      this.requests.set(key, requests);
      request.resume();
      if (requests <= REFUSALS) response.writeHead(503).end();
      else response.writeHead(201, { "content-type": "application/json" }).end(JSON.stringify({ payment: `P-${key}` }));
    });
  }

  static async open(): Promise<Payments> {
    const payments = new Payments();
    await once(payments.#server.listen(0, "127.0.0.1"), "listening");
    return payments;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}
