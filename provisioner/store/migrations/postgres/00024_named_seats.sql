-- +goose Up

-- Seats of pools of model 'named', each assigned to somebody; of a pool nobody has two.
-- They count in licence_pool.held and pool_share.held from here on, whether a session
-- is open or not. Where somebody was forgotten whose seat the contract binds longer,
-- person is an id that nobody has.
create table named_seat (
    pool        text collate "C" not null references licence_pool (name),
    person      text collate "C" not null,
    -- In whose share it is counted.
    tenant      text collate "C" not null references tenant (name),
    assigned_at bigint not null,
    -- An administrator's id; empty: by the first use.
    assigned_by text collate "C" not null,
    -- The beginning of the day on which a session last took it, no more: this is no
    -- record of working hours. Zero: none did.
    used_at     bigint not null,
    -- When an administrator took it back that could not go at once. Zero: nobody did.
    returned_at bigint not null,
    primary key (person, pool)
);
create index named_seat_pool on named_seat (pool, tenant);

-- The most seats of a pool that were held on a day in Germany (2027-01-31), as far as
-- somebody looked, and from which quarter of an hour on.
create table pool_day (
    pool    text collate "C" not null references licence_pool (name),
    day     text collate "C" not null,
    peak    bigint not null,
    peak_at bigint not null,
    primary key (pool, day)
);
