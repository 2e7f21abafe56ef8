-- The shop's own tables, as an application would have them. Rouse lives beside them in the schema rouse.

create table customers (
  id bigint generated always as identity primary key,
  name text not null,
  email text not null unique,
  signed_up_at timestamptz not null default now()
);

create table orders (
  id bigint generated always as identity primary key,
  customer_id bigint not null references customers,
  total numeric(10, 2) not null,
  payment text
);

-- No unique key on purpose: nothing but Rouse keeps a line of the import from arriving twice.
create table sales (
  receipt integer not null,
  sold_at timestamptz not null,
  product text not null,
  quantity integer not null,
  price numeric(10, 2) not null
);

-- Mail that the application wrote down and somebody has to send, as django-mailer and its kind keep it.
create table outbox (
  id bigint generated always as identity primary key,
  recipient text not null,
  subject text not null
);

create table reports (
  slot timestamptz not null primary key,
  sales integer not null
);
