import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** The name in the package.json of a folder. */
export async function packageName(folder: string): Promise<string | undefined> {
  try {
    const { name } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    return typeof name === "string" && name !== "" ? name : undefined;
  } catch {
    return undefined;
  }
}
