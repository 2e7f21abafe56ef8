import type { Logger } from "../../src/index.ts";
import { patiently } from "./latch.ts";

export interface Line {
  readonly level: keyof Logger;
  readonly message: string;
  readonly fields: Record<string, unknown>;
}

/** A logger that keeps its lines and lets tests await one. */
export class TestLog implements Logger {
  readonly lines: Line[] = [];
  readonly #waiting = new Set<(line: Line) => void>();

  debug(message: string, fields: Record<string, unknown> = {}): void {
    this.#add({ level: "debug", message, fields });
  }
  info(message: string, fields: Record<string, unknown> = {}): void {
    this.#add({ level: "info", message, fields });
  }
  warn(message: string, fields: Record<string, unknown> = {}): void {
    this.#add({ level: "warn", message, fields });
  }
  error(message: string, fields: Record<string, unknown> = {}): void {
    this.#add({ level: "error", message, fields });
  }

  /** Lines so far whose message matches. */
  matching(pattern: RegExp): Line[] {
    return this.lines.filter(({ message }) => pattern.test(message));
  }

  /** The first line whose message matches, now or as soon as it comes. */
  async line(pattern: RegExp): Promise<Line> {
    return this.matching(pattern)[0] ?? (await this.next(pattern));
  }

  /** The next line whose message matches. */
  next(pattern: RegExp): Promise<Line> {
    return patiently(`the line ${pattern}`, (resolve) => {
      const check = (line: Line) => {
        if (!pattern.test(line.message)) return;
        this.#waiting.delete(check);
        resolve(line);
      };
      this.#waiting.add(check);
    });
  }

  #add(line: Line): void {
    this.lines.push(line);
    for (const check of [...this.#waiting]) check(line);
  }
}
