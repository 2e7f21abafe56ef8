import { createReadStream } from "node:fs";

/** Bytes of a file, both ends included, as `createReadStream` takes them. */
export type Chunk = { start: number; end: number };

const NEWLINE = 10;

/** Cuts a file with a header line into chunks of whole lines, reading it once and keeping none of it in memory. */
export async function chunksOf(file: string, linesPerChunk: number): Promise<Chunk[]> {
  const chunks: Chunk[] = [];
  let position = 0;
  let start: number | undefined;
  let lines = 0;
  for await (const bytes of createReadStream(file) as AsyncIterable<Buffer>) {
    for (let at = bytes.indexOf(NEWLINE); at !== -1; at = bytes.indexOf(NEWLINE, at + 1)) {
      const next = position + at + 1;
      if (start === undefined) start = next;
      else if (++lines === linesPerChunk) {
        chunks.push({ start, end: next - 1 });
        start = next;
        lines = 0;
      }
    }
    position += bytes.length;
  }
  if (start !== undefined && start < position) chunks.push({ start, end: position - 1 });
  return chunks;
}
