-- +goose Up

-- Tenants that are to go on with another directory (a municipality leaves a
-- shared domain), as one person has proposed. They hold once another one has
-- confirmed them; the last person who is done ends them.
create table tenant_move (
    -- Names exactly this: the tenant as it is to be, people, ids, who stays behind.
    hash          text   primary key,
    tenant        text   not null references tenant (name),
    -- The directory from which it goes, and the one to which.
    former        text   not null references directory (name),
    directory     text   not null references directory (name),
    -- The tenant as it is to be.
    declaration   text   not null,
    -- 1: people of the tenant whom it does not name count as gone.
    unmapped_gone bigint not null,
    people        bigint not null,
    reason        text   not null,
    proposed_by   text   not null,
    proposed_name text   not null,
    proposed_at   bigint not null,
    -- 1: all its people are written.
    complete      bigint not null,
    -- When it was confirmed, and is being done; zero: not yet.
    confirmed_at  bigint not null
);

-- What is still to be done of each. Without a reference to person: whoever is forgotten
-- meanwhile makes the proposal void, and must not be kept by it.
create table tenant_move_person (
    hash      text   not null references tenant_move (hash),
    person    text   not null,
    -- As it was when it was proposed, and as it is to be.
    former_id text   not null,
    stable_id text   not null,
    -- Whom the new directory has with it.
    new_name  text   not null,
    new_login text   not null,
    -- What the new directory said of her when it was confirmed, as in standing.
    groups    text   not null default '[]',
    ended     text   not null default '',
    ends_at   bigint not null default 0,
    read_at   bigint not null default 0,
    due_at    bigint not null default 0,
    primary key (hash, person)
);
