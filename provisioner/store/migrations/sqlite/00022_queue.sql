-- +goose Up

-- Laptops that wait for a seat. A row whose laptop has lost its stream keeps its
-- place for some minutes.
create table seat_queue (
    -- One place a device: who asks again keeps the one she has.
    device text primary key,
    tenant text not null,
    person text not null,
    class  text not null,
    -- The order of class: 0 goes first.
    rank   bigint not null,
    since  bigint not null,
    -- The laptop's stream: of two the newer one counts.
    stream text not null,
    -- When a replica last had that stream. One that ended without a word says nothing more.
    heard_at bigint not null,
    -- Since when the laptop has no stream; zero: it has one.
    lost_at bigint not null,
    -- The pool of which a seat is held for it until then; empty and zero: none is.
    offered_pool  text not null,
    offered_until bigint not null
);
-- Who of a tenant's people of a class is next.
create index seat_queue_next on seat_queue (tenant, rank, since, device) where lost_at = 0 and offered_until = 0;
create index seat_queue_offered on seat_queue (offered_until) where offered_until > 0;
create index seat_queue_lost on seat_queue (lost_at) where lost_at > 0;
create index seat_queue_heard on seat_queue (heard_at) where lost_at = 0;

-- How many rows of seat_queue are of tenants that are entitled to the pool, and how
-- many of those wait: neither lost nor offered a seat. So an opening sees with the
-- pool that nobody is before it.
alter table licence_pool add column queued bigint not null default 0;
alter table licence_pool add column waiting bigint not null default 0;
