-- +goose Up

-- When somebody's password was last set, in milliseconds; zero: the directory does not
-- tell. The helpdesk sees its age.
alter table standing add column password_changed_at bigint not null default 0;
