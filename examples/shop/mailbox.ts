import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { SMTPServer } from "smtp-server";

/** A mail as it came over the wire. */
export type Mail = { to: string; subject: string /** By `performance.now()`. */; receivedAt: number };

/** A real SMTP server on this machine that keeps what it gets, and delivers nothing. */
export class Mailbox {
  readonly mails: Mail[] = [];
  readonly #server: SMTPServer;
  readonly #listeners = new Set<(mail: Mail) => void>();

  private constructor() {
    this.#server = new SMTPServer({
      disabledCommands: ["AUTH", "STARTTLS"],
      logger: false,
      // Where there is no name server, looking for the client's name takes seconds.
      disableReverseLookup: true,
      onData: (stream, { envelope }, done) => {
        text(stream).then((message) => {
          const subject = subjectOf(message);
          for (const { address } of envelope.rcptTo)
            this.#keep({ to: address, subject, receivedAt: performance.now() });
          done();
        }, done);
      },
    });
    // A client that breaks off is its own affair: its job fails and is tried again.
    this.#server.on("error", () => {});
  }

  static async open(): Promise<Mailbox> {
    const mailbox = new Mailbox();
    await once(mailbox.#server.listen(0, "127.0.0.1"), "listening");
    return mailbox;
  }

  get port(): number {
    return (this.#server.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `smtp://127.0.0.1:${this.port}`;
  }

  /** The first mail to an address, waited for if need be. */
  mailTo(address: string): Promise<Mail> {
    const mail = this.mails.find(({ to }) => to === address);
    if (mail) return Promise.resolve(mail);
    return new Promise((resolve) => this.onMail((next) => next.to === address && resolve(next)));
  }

  onMail(listener: (mail: Mail) => void): void {
    this.#listeners.add(listener);
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #keep(mail: Mail): void {
    this.mails.push(mail);
    for (const listener of this.#listeners) listener(mail);
  }
}

function subjectOf(message: string): string {
  const [header = ""] = message.split("\r\n\r\n", 1);
  const unfolded = header.replace(/\r\n(?=[ \t])/g, "");
  return decodeWords(/^subject: ?(.*)$/im.exec(unfolded)?.[1] ?? "");
}

/** Letters beyond ASCII travel in a header as `=?UTF-8?Q?Zo=C3=AB?=`, or the same in base64. */
function decodeWords(header: string): string {
  return header
    .replace(/\?=\s+=\?/g, "?==?")
    .replace(/=\?utf-8\?([bq])\?(.*?)\?=/gi, (_word, encoding: string, word: string) =>
      encoding.toLowerCase() === "b"
        ? Buffer.from(word, "base64").toString()
        : decodeURIComponent(
            word
              .replaceAll("_", " ")
              .replaceAll("%", "%25")
              .replace(/=(?=[0-9A-F]{2})/gi, "%"),
          ),
    );
}
