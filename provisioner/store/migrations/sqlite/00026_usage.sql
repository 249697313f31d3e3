-- +goose Up

-- How much was used, in numbers that nobody's name stands with. A series is what they
-- are of: 'tenant stadt', 'pool vpn', 'gateway gw1', 'provider'.
create table usage_series (
    id   bigint primary key,
    kind text   not null,
    name text   not null
);
create unique index usage_series_name on usage_series (kind, name);

-- The newest numbers: all series of a kind in one row for each minute, five minutes or
-- hour, packed by package capacity. Kind 'part' is what tenants hold of pools, from
-- which is decided what of an hour may be told.
create table usage_interval (
    -- Milliseconds that it lasts, and when it began.
    step   bigint not null,
    at     bigint not null,
    kind   text   not null,
    packed text   not null,
    primary key (step, at, kind)
);

-- The same of whole days (UTC), one row for each series.
create table usage_day (
    series bigint not null,
    step   bigint not null,
    day    bigint not null,
    packed text   not null,
    primary key (series, step, day)
);
create index usage_day_day on usage_day (step, day);

-- How far the numbers have come. One row.
create table usage_state (
    id          bigint primary key check (id = 1),
    -- When a control plane last measured: minutes in which none did are gaps.
    seen_at     bigint not null,
    -- Up to when minutes, hours and days are there.
    minutes_to  bigint not null,
    hours_to    bigint not null,
    days_to     bigint not null,
    -- Up to which revision the bytes of sessions were added up, and their sums then by
    -- series: of sessions that are open still.
    revision    bigint not null,
    counted_at  bigint not null,
    bytes       text   not null
);

-- Openings that were refused, as each replica counts them, until the hour is over.
create table usage_refused (
    replica  text   not null,
    minute   bigint not null,
    tenant   text   not null,
    reason   bigint not null,
    attempts bigint not null,
    -- How many different people the replica has refused so since the hour began.
    people   bigint not null,
    -- 1: added to a minute.
    counted  bigint not null,
    primary key (replica, minute, tenant, reason)
);
create index usage_refused_minute on usage_refused (minute);
