-- +goose Up

-- The account's own date of expiry, as the directory has it.
alter table standing add column ends_at bigint not null default 0;
-- '', 'expired', 'must-change'.
alter table standing add column password text collate "C" not null default '';
alter table standing add column password_ends_at bigint not null default 0;
-- 1: had the right to connect when it was last judged.
alter table standing add column entitled bigint not null default 0;
-- When the right was lost by the directory's word alone; the brake counts these.
alter table standing add column lost_at bigint not null default 0;
-- The next of the dates above that has not been judged as over; zero: none.
alter table standing add column due_at bigint not null default 0;
create index standing_entitled on standing (tenant) where entitled = 1;
create index standing_lost on standing (tenant, lost_at) where lost_at > 0;
create index standing_due on standing (due_at) where due_at > 0;

-- People whose right has ended by the directory's word, and who keep it because
-- too many lose it at once: a person has to decide.
create table held_loss (
    person text collate "C" not null references person (id),
    tenant text collate "C" not null references tenant (name),
    -- 'deleted', 'disabled', 'expired', 'locked', 'group', 'password'.
    why    text collate "C" not null,
    -- 1: her own entry changed; 0: a group, or a full read did not find her.
    own    bigint not null,
    since  bigint not null,
    -- Until when she is kept by a person's word; zero: nobody has decided.
    dismissed_until bigint not null,
    -- 1: a person has confirmed the loss, and it is being done.
    confirmed bigint not null,
    primary key (person, tenant)
);
create index held_loss_tenant on held_loss (tenant);

-- How each directory is followed, by the replica whose duty it is.
create table directory_following (
    directory text collate "C" primary key references directory (name),
    -- 'reading', 'following' or 'down'.
    state     text collate "C" not null,
    since     bigint not null,
    -- The last time at which everything the server knew of had been taken in.
    heard_at  bigint not null,
    -- The last change of somebody's standing, and the end of the last full read.
    changed_at    bigint not null,
    reconciled_at bigint not null,
    people    bigint not null,
    groups    bigint not null,
    -- Server, flavour, way, what it does not notice, what is wrong: JSON.
    details   text collate "C" not null
);
