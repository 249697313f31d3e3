-- +goose Up

-- Changed stable ids of a directory's people (a domain was rebuilt), as one
-- person has proposed. They hold once another one has confirmed them.
create table identity_change (
    -- Names exactly these changes.
    hash          text   primary key,
    directory     text   not null references directory (name),
    people        bigint not null,
    reason        text   not null,
    proposed_by   text   not null,
    proposed_name text   not null,
    proposed_at   bigint not null,
    -- When it was confirmed, and is being done; zero: not yet.
    confirmed_at  bigint not null
);

-- What is still to be done of each.
create table identity_change_person (
    hash      text not null,
    person    text not null references person (id),
    -- As it was when it was proposed, and as it is to be.
    former_id text not null,
    stable_id text not null,
    primary key (hash, person)
);
