-- The bookkeeping of the migrator. It exists before the first migration does, therefore no migration makes it; a later change
-- of it is a migration like any other, and this file stays.
create table :SCHEMA.migration (
  number integer not null,
  file text not null,
  hash text not null,
  previous_hash text,
  rouse_version text not null,
  compatible_from integer,
  applied_at timestamptz not null default pg_catalog.clock_timestamp(),
  constraint migration_pkey primary key (number)
);

comment on table :SCHEMA.migration is 'Migrations applied to this schema; only "rouse migrate" writes here.';
comment on column :SCHEMA.migration.number is 'Position in the chain of migrations, from 1.';
comment on column :SCHEMA.migration.file is 'Name of the file that was applied.';
comment on column :SCHEMA.migration.hash is 'Hash of the file and of all before it.';
comment on column :SCHEMA.migration.previous_hash is 'Hash of the migration before; null for the first.';
comment on column :SCHEMA.migration.rouse_version is 'Version of the package that applied it.';
comment on column :SCHEMA.migration.compatible_from is
  'Number of the migration that a worker must know to run on this schema; null: all older workers can.';
comment on column :SCHEMA.migration.applied_at is 'When it was applied.';
