-- +goose Up

-- What a static peer holds for as long as it lives, also while its access rests:
-- a seat, a place and an address. Its file cannot be told anything new.
create table static_peer (
    device        text collate "C" primary key references device (id),
    gateway       text collate "C" not null references gateway (name),
    pool          text collate "C" not null,
    address_index bigint not null,
    key_version   bigint not null,
    -- The gateway's key that stands in the file. Once the gateway has another
    -- one, it takes a new file.
    gateway_key   text collate "C" not null
);

-- When a static peer ends; zero: the device has an agent.
alter table device add column static_until bigint not null default 0;
create index device_static on device (static_until) where static_until > 0 and revoked_at = 0;

-- Of a static peer what its preshared key is derived from, 'static h2k… 1', as
-- the id of the session changes when access is given back. Empty: the id.
alter table session add column key_of text collate "C" not null default '';
-- When the session ends whatever else happens; zero: never. A gateway that is
-- cut off drops the peer then.
alter table session add column ends_at bigint not null default 0;

-- Trainees and people of other houses: known in the directory, and answered for by
-- somebody of the tenant until a day.
create table external_person (
    person   text collate "C" not null references person (id),
    tenant   text collate "C" not null references tenant (name),
    -- The id of who answers for her. No reference: he may leave.
    sponsor  text collate "C" not null,
    until    bigint not null,
    reason   text collate "C" not null,
    -- When her access was taken because the day is over; zero: it was not.
    ended_at bigint not null,
    primary key (person, tenant)
);
create index external_until on external_person (until) where ended_at = 0;
create index external_sponsor on external_person (sponsor, tenant);
create index external_tenant on external_person (tenant, until);

-- 1: the tenant's policy limits access to certain times, so a renewal has to look.
alter table tenant add column timed bigint not null default 0;
