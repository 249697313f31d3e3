-- +goose Up

-- The oldest schema whose programs can run on this one: replicas are replaced
-- one after the other, and the older ones go on meanwhile. One row.
create table schema_support (
    oldest bigint not null
);
insert into schema_support (oldest) values (2);

-- What one replica at a time must do: 'expiry', 'tidying'. The holder renews
-- `beat` each second. Whoever sees it stand still for three seconds, by a clock of its
-- own, takes the duty over with the next fence.
create table duty (
    name   text collate "C" primary key,
    -- A replica's id, drawn at its start.
    holder text collate "C" not null,
    -- Each transaction of the duty checks that it is still this one.
    fence  bigint not null,
    beat   bigint not null
);

-- Which replica holds a gateway's stream: what it says of it counts, and when it
-- starts anew, only its own gateways are not connected any more.
alter table gateway_contact add column replica text collate "C" not null default '';

-- Sessions that the gateway has confirmed as removed ahead of its revision, of
-- late: ids with spaces between them. Replicas that wait for one find it here.
alter table gateway_contact add column removed text collate "C" not null default '';
