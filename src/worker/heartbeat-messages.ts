import type pg from "pg";

/** What the heartbeat thread starts with. */
export interface HeartbeatData {
  readonly addresses: readonly pg.ClientConfig[];
  readonly schema: string;
  readonly worker: number;
  /** See `ToHeartbeat`. */
  readonly trusted: boolean;
}

export type ToHeartbeat =
  /** Beat for another worker row from now on. */
  | { readonly kind: "worker"; readonly worker: number }
  /** Something was woken or runs: the next beat is due as while anything runs. */
  | { readonly kind: "active" }
  /** Slots held by handlers that ignore their signal. */
  | { readonly kind: "stuck"; readonly stuck: number }
  /** How to connect from now on: passwords may be short-lived. */
  | { readonly kind: "addresses"; readonly addresses: readonly pg.ClientConfig[] }
  /** Sessions last though a pooler stands between: the lock is worth taking. */
  | { readonly kind: "trust" }
  | { readonly kind: "stop" };

export type FromHeartbeat =
  | ({ readonly kind: "beat" } & Beat)
  /** The worker was given up for dead. */
  | { readonly kind: "unknown"; readonly worker: number }
  /** A connection was lost or could not be made; `first` since there last was one. */
  | { readonly kind: "lost"; readonly reason: string; readonly first: boolean };

/** What a beat found. */
export interface Beat {
  /** There is work for this worker. */
  readonly ready: boolean;
  /** Time to the next due job; null: none. */
  readonly waitMs: number | null;
  /** Jobs that have run in its name for more than 10 s. */
  readonly longHeld: number;
  readonly leaseMs: number;
  /** What failed of sweeping up after dead workers and of firing schedules. */
  readonly trouble: string | null;
  /** Jobs that run in its name were cancelled. */
  readonly cancels: boolean;
  /** A pooler stands between: sessions may be shared. */
  readonly pooled: boolean;
}
