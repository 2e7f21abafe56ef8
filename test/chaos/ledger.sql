-- What the run knows by itself, outside of Rouse's tables. enqueued, cancelled and effect are written in the transactions that they
-- tell of; the rest is loaded from the journals of the workers and of the faults when the run is over. Times without
-- a zone are milliseconds on the monotonic clock of the machine.
create schema ledger;

create table ledger.enqueued (
  n bigint not null,
  job_id bigint not null,
  task text not null,
  unique_key text,
  due_at timestamptz not null,
  queue text not null,
  concurrency_key text
);

-- Jobs of which cancel() said that it cancelled them.
create table ledger.cancelled (
  job_id bigint not null,
  at timestamptz not null default clock_timestamp()
);

create table ledger.effect (
  n bigint not null,
  run text not null
);

-- Which process a worker id belongs to, also after its row is gone.
create table ledger.worker (
  id integer not null,
  process text not null
);

create function ledger.note_worker()
  returns trigger
  language plpgsql
  security definer
as $$
begin
  insert into ledger.worker values (new.id, new.name);
  return null;
end;
$$;

create trigger note_worker
  after insert on rouse.worker
  for each row
  execute function ledger.note_worker();

-- Handlers that began; ended is null where their process died.
create table ledger.run (
  run text not null,
  process text not null,
  job_id bigint not null,
  n bigint,
  attempt integer not null,
  began double precision not null,
  began_at timestamptz not null,
  ended double precision,
  outcome text
);

create table ledger.death (
  process text not null,
  at double precision not null
);

-- patience: milliseconds after which the fault lets a worker that still runs be taken for dead; null: never.
-- crash: what had been committed asynchronously may be forgotten.
-- restart: workers have some seconds to come back, in which none of them is taken for dead.
-- absent: as long as it lasts its worker cannot come back.
create table ledger.fault (
  kind text not null,
  process text,
  began double precision not null,
  ended double precision not null,
  patience double precision,
  crash boolean not null,
  restart boolean not null,
  absent boolean not null
);
