-- +goose Up

-- Since when the device has its next session on another gateway, beside this one; zero: it
-- never had. While such a session is open it is leaving: it has no seat, nobody renews it,
-- and lease_until is by when it ends. Its closed_revision is -1, so that session_of_device,
-- which is unique, says besides that a device has one present session (0) that it has one
-- leaving one at the most.
alter table session add column left_at bigint not null default 0;
-- Those that are leaving, few: an opening writes nothing here.
create index session_leaving on session (device) where closed_revision = -1;
