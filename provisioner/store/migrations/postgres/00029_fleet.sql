-- +goose Up

-- Where a session goes: what a gateway gets of what is free, compared with the others;
-- the site where it stands (empty: none); what it may carry, in bits a second in both
-- directions together (zero: whatever it can).
alter table gateway add column weight bigint not null default 100;
alter table gateway add column site text collate "C" not null default '';
alter table gateway add column throughput bigint not null default 0;

-- Since when it is drained (zero: it is not), until when, and why.
alter table gateway add column drain_since bigint not null default 0;
alter table gateway add column drain_by bigint not null default 0;
alter table gateway add column drain_why text collate "C" not null default '';

-- The maintenance that is announced: from when (zero: none), until when, and why.
alter table gateway add column maintenance_from bigint not null default 0;
alter table gateway add column maintenance_until bigint not null default 0;
alter table gateway add column maintenance_why text collate "C" not null default '';

-- What it measured last: bits a second, and how busy its processors are in thousandths.
alter table gateway_contact add column rate bigint not null default 0;
alter table gateway_contact add column cpu bigint not null default 0;
