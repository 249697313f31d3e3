-- +goose Up

-- Of a tenant's places in the queue how many there are, and how many of each class wait.
-- So an opening sees with its share who of its own tenant is before it, and where nobody of
-- that tenant has a place nothing is asked of the queue, however many others wait.
alter table pool_share add column queued bigint not null default 0;
alter table pool_share add column waiting_crisis bigint not null default 0;
alter table pool_share add column waiting_control bigint not null default 0;
alter table pool_share add column waiting_ordinary bigint not null default 0;
update pool_share set
    queued = (select count(*) from seat_queue q where q.tenant = pool_share.tenant),
    waiting_crisis = (select count(*) from seat_queue q where q.tenant = pool_share.tenant and q.rank = 0 and q.lost_at = 0 and q.offered_until = 0),
    waiting_control = (select count(*) from seat_queue q where q.tenant = pool_share.tenant and q.rank = 1 and q.lost_at = 0 and q.offered_until = 0),
    waiting_ordinary = (select count(*) from seat_queue q where q.tenant = pool_share.tenant and q.rank = 2 and q.lost_at = 0 and q.offered_until = 0)
    where exists (select 1 from seat_queue q where q.tenant = pool_share.tenant);

-- How often a laptop has taken its place since then: too often within a minute, at
-- whichever control plane, and it has to wait for the next.
alter table seat_queue add column taken_since bigint not null default 0;
alter table seat_queue add column taken bigint not null default 0;
