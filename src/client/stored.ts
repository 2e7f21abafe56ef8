/** A value as it comes back from JSON: a Date as text, without what JSON leaves out. */
export type Stored<T> = 0 extends 1 & T
  ? T
  : T extends { toJSON(): infer Json }
    ? Stored<Json>
    : T extends string | number | boolean | null | undefined
      ? T
      : T extends void
        ? undefined
        : T extends (...args: never) => unknown
          ? undefined
          : T extends object
            ? { [Key in keyof T]: Stored<T[Key]> }
            : T;
