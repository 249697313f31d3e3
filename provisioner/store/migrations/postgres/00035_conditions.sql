-- +goose Up

-- What its tenant asks of laptops, as this one answered last, and since which day what is
-- required is unmet: disk_encryption=no@2026-11-12 firewall=yes. Not when it answered. Empty:
-- nothing is asked, or it has not answered yet.
alter table device add column conditions text not null default '';
