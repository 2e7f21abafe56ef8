import { type Database, type DatabaseSettings, withDatabase } from "./database.ts";
import { note, print } from "./output.ts";
import { jobIds } from "./usage-error.ts";

/** What became of a job: what there is to say, and whether that was what was asked for. */
export interface Outcome {
  readonly done: boolean;
  readonly message: string;
}

/** Does something with each of the jobs that a command names, and says what; gives the exit code, 1 where it was in vain for one. */
export async function eachJob(
  { positionals, settings }: { readonly positionals: readonly string[]; readonly settings: DatabaseSettings },
  act: (database: Database, id: number) => Promise<Outcome>,
): Promise<number> {
  // All of them, before any is touched.
  const ids = jobIds(positionals);
  return await withDatabase(settings, "admin", async (database) => {
    let code = 0;
    for (const id of ids) {
      const { done, message } = await act(database, id);
      if (!done) code = 1;
      (done ? print : note)(message);
    }
    return code;
  });
}
