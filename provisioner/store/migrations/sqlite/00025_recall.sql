-- +goose Up

-- Milliseconds without data after which an open session ends because its seat is
-- called back for the tenant to which it is guaranteed; zero: it is not.
alter table session add column recall bigint not null default 0;
create index session_recall on session (pool) where closed_at = 0 and recall > 0;

-- The class out of whose reserve the offered seat is; empty: none.
alter table seat_queue add column offered_class text not null default '';
