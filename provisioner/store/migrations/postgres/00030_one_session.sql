-- +goose Up

-- A device holds one session at a time: its open one has closed_revision 0, and no two
-- changes have the same revision. One index says so and finds them, where two were
-- written with each opening and closing.
drop index if exists session_of_device;
create unique index session_of_device on session (device, closed_revision);
drop index if exists session_device;
