/**
 * The part of Standard Schema (https://standardschema.dev) and Standard JSON Schema that Rouse uses. zod 4
 * fulfils it, and so does any other library that does: a task's payload can be described in either.
 */
export interface PayloadSchema<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => Validation<Output> | Promise<Validation<Output>>;
    readonly jsonSchema?: {
      readonly input: (options: { readonly target: "draft-2020-12" }) => Record<string, unknown>;
    };
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

export type Validation<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: ReadonlyArray<Issue> };

interface Issue {
  readonly message: string;
  readonly path?: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }> | undefined;
}

/** What is wrong with a value, as `userId: expected number; email: required`. */
export function describeIssues(issues: ReadonlyArray<Issue>): string {
  return issues
    .map(({ path, message }) => {
      const where = (path ?? []).map((step) => String(typeof step === "object" ? step.key : step)).join(".");
      return where === "" ? message : `${where}: ${message}`;
    })
    .join("; ");
}
