-- +goose Up

-- From how many bytes a second on, both directions together, traffic is activity in a
-- tenant; after how long without any a session ends (milliseconds; zero: never), and
-- after how long in its crisis mode (zero: as always). They stand in the declaration
-- too, which nobody has to read for an observation.
alter table tenant add column idle_below bigint not null default 1000;
alter table tenant add column idle_after bigint not null default 0;
alter table tenant add column idle_in_crisis bigint not null default 0;
-- Since when the crisis mode is on, and why; zero: it is off.
alter table tenant add column crisis_since bigint not null default 0;
alter table tenant add column crisis_reason text not null default '';

-- What the gateway had counted at a time, and when that last was activity; zero: not
-- yet. They are kept while the session is open.
alter table session add column counted_at bigint not null default 0;
alter table session add column counted_bytes bigint not null default 0;
alter table session add column active_at bigint not null default 0;
-- When it is closed because nothing was transferred, of which its laptop is told;
-- zero: nobody said so.
alter table session add column idle_at bigint not null default 0;
-- When somebody looks whether it goes on: before policy ends it (due_until), and before
-- it may be idle. Zero: never. An opening pays for one index, and so does a look;
-- no observation does.
alter table session add column look_at bigint not null default 0;
update session set look_at = due_until where closed_at = 0;
create index session_look on session (look_at) where closed_at = 0 and look_at > 0;
drop index session_end;
