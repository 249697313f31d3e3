-- +goose Up

-- Invitations: each lets one person enrol one laptop without her password. About
-- people: it says who was to get which laptop, who invited her and what came of it.
-- Kept for 90 days after it has expired, as security events are.
create table invitation (
    id              text collate "C" primary key,
    -- The one-time token as SHA-256 in hex: it was shown once and is not kept.
    token           text collate "C" not null,
    tenant          text collate "C" not null references tenant (name),
    person          text collate "C" not null references person (id),
    -- As devices have it; empty: any laptop.
    serial_number   text collate "C" not null,
    -- What the laptop is to be called; empty: as it calls itself.
    device_name     text collate "C" not null,
    -- The name of who invited her.
    invited_by      text collate "C" not null,
    created_at      bigint not null,
    expires_at      bigint not null,
    -- Zero: open, unless it has expired.
    ended_at        bigint not null,
    -- 'used', 'withdrawn' or 'replaced'; empty: open.
    ended           text collate "C" not null,
    -- The device that was enrolled with it; empty: none.
    device          text collate "C" not null
);
create unique index invitation_token on invitation (token);
-- One open invitation for ('stadt', person, '5CG1234XYZ'): a newer one replaces it.
create unique index invitation_open on invitation (tenant, person, serial_number) where ended_at = 0;
create index invitation_tenant on invitation (tenant, id);
create index invitation_person on invitation (person);
create index invitation_expiry on invitation (expires_at);

-- The house rules of tenants, each version that was declared: what somebody has
-- acknowledged stays readable. Not about people.
create table house_rules (
    tenant      text collate "C" not null references tenant (name),
    version     text collate "C" not null,
    german      text collate "C" not null,
    -- Empty: there is only the German.
    english     text collate "C" not null,
    declared_at bigint not null,
    primary key (tenant, version)
);

-- That a person has acknowledged a version of a tenant's house rules, when, and on
-- which laptop. About people. Her latest of a tenant counts, and is kept as long as
-- she is known; an earlier one for a year after it was given.
create table acknowledgement (
    person          text collate "C" not null references person (id),
    tenant          text collate "C" not null references tenant (name),
    version         text collate "C" not null,
    acknowledged_at bigint not null,
    device          text collate "C" not null,
    primary key (person, tenant, version)
);
create index acknowledgement_at on acknowledgement (acknowledged_at);

-- Of the devices on one laptop, which several people share, one is open at a time.
create index device_laptop on device (tenant, serial_number) where serial_number <> '' and revoked_at = 0;
