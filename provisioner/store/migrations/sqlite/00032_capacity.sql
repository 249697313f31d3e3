-- +goose Up

-- By how many more laptops of a tenant wait for a seat since an instant, fewer if below
-- zero, until the minute is computed in which it was. Moves of one instant are one.
create table queue_move (
    at     bigint not null,
    tenant text   not null,
    more   bigint not null,
    primary key (at, tenant)
);

-- At which percentages somebody is warned, such as '80,95'; empty: the default ones.
alter table gateway add column warn_at text not null default '';
