create schema :SCHEMA;

comment on schema :SCHEMA is 'Rouse: a task queue. \df+ and \d+ of this schema are its manual.';
