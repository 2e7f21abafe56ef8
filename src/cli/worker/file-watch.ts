import { type FSWatcher, watch } from "node:fs";
import { dirname, join } from "node:path";

/** Editors write a file in several steps, and several files at once. */
const SETTLE_MS = 100;

/**
 * Watches folders for changes that matter. Folders, since most editors replace a file by a new one, on which a watch of
 * the old one would tell nothing.
 */
export class FileWatch {
  readonly #watchers = new Map<string, FSWatcher>();
  readonly #onChange: (path: string) => void;
  #matters: (path: string) => boolean = () => false;
  #settling: NodeJS.Timeout | undefined;

  /** @param onChange Gets the first path of a burst of changes, once the burst is over. */
  constructor(onChange: (path: string) => void) {
    this.#onChange = onChange;
  }

  /** Watches these folders, no others, for changes of paths that matter. */
  set(folders: Iterable<string>, matters: (path: string) => boolean): void {
    this.#matters = matters;
    const wanted = new Set(folders);
    for (const [folder, watcher] of this.#watchers) {
      if (!wanted.has(folder)) {
        watcher.close();
        this.#watchers.delete(folder);
      }
    }
    for (const folder of wanted) if (!this.#watchers.has(folder)) this.#add(folder);
  }

  close(): void {
    clearTimeout(this.#settling);
    this.set([], () => false);
  }

  #add(folder: string): void {
    try {
      const watcher = watch(folder, (_event, name) => {
        if (name !== null) this.#changed(join(folder, name));
      });
      watcher.on("error", () => this.#drop(folder));
      this.#watchers.set(folder, watcher);
    } catch {
      // It is not there yet; its parent is watched where that matters.
    }
  }

  #drop(folder: string): void {
    this.#watchers.get(folder)?.close();
    this.#watchers.delete(folder);
  }

  #changed(path: string): void {
    if (this.#settling !== undefined || !this.#matters(path)) return;
    this.#settling = setTimeout(() => {
      this.#settling = undefined;
      this.#onChange(path);
    }, SETTLE_MS);
  }
}

/** The folders that these files are in. */
export function foldersOf(files: Iterable<string>): Set<string> {
  return new Set([...files].map(dirname));
}
