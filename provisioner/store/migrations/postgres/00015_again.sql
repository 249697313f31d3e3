-- +goose Up

-- When the device's person last proved who she is: at the enrolment, or by signing
-- in again. Only the last time is kept. Zero: before this was written down.
alter table device add column signed_in_at bigint not null default 0;

-- When policy ends a session: from due_at on the laptop looks for a quiet moment
-- to open another one, at due_until it is closed with due_why ('sign-in-needed').
-- Zero: policy does not end it.
alter table session add column due_at bigint not null default 0;
alter table session add column due_until bigint not null default 0;
alter table session add column due_why text collate "C" not null default '';
create index session_end on session (due_until) where closed_at = 0 and due_until > 0;
