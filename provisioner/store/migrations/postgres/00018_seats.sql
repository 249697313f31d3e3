-- +goose Up

-- Who holds a pool's seats: 'concurrent', sessions; 'named', people.
alter table licence_pool add column model text collate "C" not null default 'concurrent';
-- seats and burst are what the contracts give together from valid_from to
-- valid_until, and running is how many contracts that are; at any other time the
-- declaration tells.
alter table licence_pool add column running bigint not null default 1;
-- Seats reserved for classes that do not hold them at present:
-- the sum of max(0, reserve - held) over pool_class.
alter table licence_pool add column unused_reserve bigint not null default 0;
-- The part of the guarantee that is never lent: of it unused_guarantee is the sum.
alter table pool_share add column protected bigint not null default 0;
update pool_share set protected = guarantee;
-- Of the seats held, those that came out of reserves: each seat pays one promise,
-- the tenant's guarantee or the class's reserve.
alter table pool_share add column reserved bigint not null default 0;

-- Seats of a pool that are reserved for a class of people, and those that its
-- people hold. Ordinary people have no row.
create table pool_class (
    pool    text collate "C" not null references licence_pool (name),
    class   text collate "C" not null,
    reserve bigint not null,
    held    bigint not null,
    primary key (pool, class)
);

-- The class out of whose reserve a session has its seat; ordinary: none.
alter table session add column class text collate "C" not null default 'ordinary';
