import { RouseError } from "../errors.ts";
import { type Logger, plainFields } from "../log.ts";
import { storableText, toJson } from "../tasks/json.ts";
import { Alarm } from "./alarm.ts";
import type { ClaimedJob } from "./job.ts";

/** Between two writes, however many attempts have something to say. */
const WRITE_EVERY_MS = 1_000;
/** Most lines of an attempt that are kept. */
const MOST_LINES = 1_000;
/** Longest line, and longest JSON of its fields, in characters. */
const LONGEST = 2_000;

/** What an attempt says while it runs, as note_v1 reads it. */
export interface Note {
  readonly id: number;
  readonly lease: string;
  readonly progress: number | undefined;
  readonly message: string | undefined;
  readonly log: readonly Line[];
}

interface Line {
  readonly at: Date;
  readonly level: "info" | "warn" | "error";
  readonly message: string;
  readonly fields: unknown;
}

export interface NotesOptions {
  /** Gives the jobs of which nothing could be written yet. */
  readonly write: (notes: readonly Note[]) => Promise<readonly number[]>;
  readonly log: Logger;
}

/** Gathers what attempts say and writes it down once a second. What an attempt says last leaves with its end. */
export class Notes {
  readonly #options: NotesOptions;
  readonly #news = new Set<JobNotes>();
  readonly #alarm = new Alarm(() => void this.#write());
  #writtenAt = -Infinity;
  #writing = false;

  constructor(options: NotesOptions) {
    this.#options = options;
  }

  /** The notes of an attempt. */
  of(job: ClaimedJob): JobNotes {
    const notes: JobNotes = new JobNotes(job, (news) => {
      if (news) this.#news.add(notes);
      else this.#news.delete(notes);
      if (news && !this.#writing) this.#alarm.advance(this.#writtenAt + WRITE_EVERY_MS - performance.now());
    });
    return notes;
  }

  close(): void {
    this.#alarm.clear();
    this.#news.clear();
  }

  async #write(): Promise<void> {
    const from = [...this.#news].map((notes) => ({ notes, note: notes.take() }));
    if (from.length === 0) return;
    this.#writing = true;
    const said = from.flatMap(({ note }) => note ?? []);
    const left = this.#options.write(said).catch((error: Error) => {
      this.#options.log.debug("could not note what jobs say; trying again", { error: error.message });
      return said.map(({ id }) => id);
    });
    for (const { notes, note } of from) if (note !== undefined) notes.onItsWay(note, left);
    await left;
    this.#writing = false;
    this.#writtenAt = performance.now();
    if (this.#news.size > 0) this.#alarm.set(WRITE_EVERY_MS);
  }
}

/** What one attempt has to say and nobody has taken yet. */
export class JobNotes {
  readonly #job: ClaimedJob;
  /** Told whether there is something to take. */
  readonly #onNews: (news: boolean) => void;
  #progress: number | undefined;
  #message: string | undefined;
  #lines: Line[] = [];
  #count = 0;
  #closed = false;
  /** Resolves when what was taken has been written, or is here again. */
  #settled: Promise<void> | undefined;

  constructor(job: ClaimedJob, onNews: (news: boolean) => void) {
    this.#job = job;
    this.#onNews = onNews;
  }

  /** @throws RouseError for what is no share. */
  progress(share: number, message?: string): void {
    // A sum of shares may be a little more than 1.
    if (!(typeof share === "number" && share >= 0 && share <= 1 + 1e-6)) {
      throw new RouseError(`progress ${String(share)} is not a number from 0 to 1`);
    }
    if (this.#closed) return;
    this.#progress = Math.min(share, 1);
    this.#message = message === undefined ? undefined : shorten(storableText(String(message)));
    this.#onNews(true);
  }

  line(level: Line["level"], message: string, fields?: Record<string, unknown>): void {
    if (this.#closed || this.#count > MOST_LINES) return;
    this.#count += 1;
    const last = this.#count > MOST_LINES;
    const text = last ? `the lines after the first ${MOST_LINES} of an attempt are not kept` : String(message);
    this.#lines.push({
      at: new Date(),
      level: last ? "warn" : level,
      message: shorten(storableText(text)),
      fields: last || fields === undefined ? undefined : storable(fields),
    });
    this.#onNews(true);
  }

  /** Gives what there is; undefined: nothing. */
  take(): Note | undefined {
    this.#onNews(false);
    if (this.#progress === undefined && this.#lines.length === 0) return undefined;
    const { id, lease } = this.#job;
    const note = { id, lease, progress: this.#progress, message: this.#message, log: this.#lines };
    this.#progress = undefined;
    this.#message = undefined;
    this.#lines = [];
    return note;
  }

  /** It was taken and is being written. */
  onItsWay(note: Note, left: Promise<readonly number[]>): void {
    this.#settled = left.then((jobs) => {
      this.#settled = undefined;
      if (jobs.includes(note.id)) this.putBack(note);
    });
  }

  /** Gives what there is, when nothing is on its way any more: the end of the attempt would overtake it, and it be refused. */
  async takeLast(): Promise<Note | undefined> {
    await this.#settled;
    return this.take();
  }

  /** It did not get there. What was said since then stands. */
  putBack(note: Note): void {
    if (this.#progress === undefined) {
      this.#progress = note.progress;
      this.#message = note.message;
    }
    this.#lines = [...note.log, ...this.#lines];
    this.#onNews(true);
  }

  /** The attempt has ended: nothing that is said from now on is kept. Gives what there is, later where some is on its way. */
  close(): Note | undefined | Promise<Note | undefined> {
    this.#closed = true;
    return this.#settled === undefined ? this.take() : this.takeLast();
  }
}

function shorten(text: string): string {
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST)}… (${text.length} characters)`;
}

/** Fields as JSON that can be stored, without those that make it too long. */
function storable(fields: Record<string, unknown>): unknown {
  const { text, why } = toJson(plainFields(fields));
  if (text !== undefined && text.length <= LONGEST) return JSON.parse(text);
  return { omitted: why ?? `${text?.length} characters of fields` };
}
