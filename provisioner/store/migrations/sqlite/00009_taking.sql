-- +goose Up

-- Taking or giving back the access of many devices at once. It is done in
-- slices, and goes on after a crash where it stopped.
create table taking (
    id          text   primary key,
    -- 'revoke device', 'suspend device' or 'restore device'.
    action      text   not null,
    -- Whose devices are meant; JSON.
    selection   text   not null,
    reason      text   not null,
    -- Who does it; JSON.
    actor       text   not null,
    -- When a suspension ends by itself; zero: never.
    ends_at     bigint not null,
    created_at  bigint not null,
    -- The last device that is done.
    cursor      text   not null,
    -- How many devices there were, and how many are done.
    total       bigint not null,
    done        bigint not null,
    -- Zero: not yet.
    finished_at bigint not null
);
create index taking_open on taking (created_at) where finished_at = 0;
create index taking_finished on taking (finished_at) where finished_at > 0;

-- The revision by which each gateway has followed what was taken.
create table taking_gateway (
    taking   text   not null references taking (id),
    gateway  text   not null,
    revision bigint not null,
    primary key (taking, gateway)
);

alter table suspension add column ends_at bigint not null default 0;
create index suspension_end on suspension (ends_at) where ends_at > 0;

-- Whoever takes a tenant's access walks through its devices.
create index device_tenant on device (tenant, id);
