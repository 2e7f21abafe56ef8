/** What a watch sends, as types: nothing here exists when the code runs. */
import type { AnyTask, InputOf } from "../tasks/define-task.ts";
import type { RowChange, WatchEvent } from "./row-change.ts";

type IsAny<T> = 0 extends 1 & T ? true : false;

/** Names of the columns that a row is known to have. */
export type ColumnOf<Row> = IsAny<Row> extends true ? string : Extract<keyof Row, string>;

/** The key of a row: the columns named, or some of the row's where the database is to find them. */
type KeyOf<Row, Key extends readonly PropertyKey[]> =
  IsAny<Row> extends true ? Row : Key extends readonly [] ? Partial<Row> : Pick<Row, Extract<Key[number], keyof Row>>;

/** The payload `changed`. */
type Changed<Row, Event extends WatchEvent, Key> =
  | (Event extends "insert" ? { event: "insert"; key: Key; old: null; new: Row } : never)
  | (Event extends "update" ? { event: "update"; key: Key; old: Partial<Row>; new: Partial<Row> } : never)
  | (Event extends "delete" ? { event: "delete"; key: Key; old: Row; new: null } : never);

interface Payloads<Row, Event extends WatchEvent, Key> {
  change: RowChange<Row, Exclude<Event, "truncate">>;
  row: Row;
  key: Key;
  changed: Changed<Row, Event, Key>;
}

/** What a changed row gives; SQL gives anything. */
type OfRow<Row, Event extends WatchEvent, Payload extends string, Key> =
  // biome-ignore lint/suspicious/noExplicitAny: what SQL gives is known to the database alone
  Payload extends keyof Payloads<Row, Event, Key> ? Payloads<Row, Event, Key>[Payload] : any;

/** The payload of a job that a watch makes. */
export type Sent<
  Row,
  Event extends WatchEvent,
  Payload extends string,
  Key extends readonly PropertyKey[],
  Batch extends number | undefined,
> =
  | (Batch extends number ? OfRow<Row, Event, Payload, KeyOf<Row, Key>>[] : OfRow<Row, Event, Payload, KeyOf<Row, Key>>)
  | ("truncate" extends Event ? { event: "truncate" } : never);

/** A task, its name, or a list of them. */
export type Receivers = AnyTask | string | readonly (AnyTask | string)[];

/** Tasks that take a payload: nothing more is asked of them; or an error for the first that does not. */
export type Takes<Tasks, Payload> = Tasks extends readonly unknown[]
  ? { readonly [Index in keyof Tasks]: TakesOne<Tasks[Index], Payload> }
  : TakesOne<Tasks, Payload>;

/** A name says nothing of its task, and a task without payload is content with any. */
type TakesOne<T, Payload> = T extends AnyTask
  ? // biome-ignore lint/suspicious/noConfusingVoidType: the input of a task without payload
    [InputOf<T>] extends [undefined | void]
    ? unknown
    : [Payload] extends [InputOf<T>]
      ? unknown
      : { "the payload of this task does not take what the watch sends": Payload }
  : unknown;
