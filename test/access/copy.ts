import pg from "pg";

interface CopyConnection {
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
}

/** Runs `copy … from stdin` with that text. */
export async function copyFrom(client: pg.Client, sql: string, text: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const query = new pg.Query(sql);
    Object.assign(query, {
      handleCopyInResponse(connection: CopyConnection) {
        connection.sendCopyFromChunk(Buffer.from(text));
        connection.endCopyFrom();
      },
    });
    query.on("end", () => resolve());
    query.on("error", reject);
    client.query(query);
  });
}
