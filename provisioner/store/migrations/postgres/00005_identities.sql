-- +goose Up

-- Changed stable ids of a directory's people (a domain was rebuilt), as one
-- person has proposed. They hold once another one has confirmed them.
create table identity_change (
    -- Names exactly these changes.
    hash          text collate "C" primary key,
    directory     text collate "C" not null references directory (name),
    people        bigint not null,
    reason        text collate "C" not null,
    proposed_by   text collate "C" not null,
    proposed_name text collate "C" not null,
    proposed_at   bigint not null,
    -- When it was confirmed, and is being done; zero: not yet.
    confirmed_at  bigint not null
);

-- What is still to be done of each.
create table identity_change_person (
    hash      text collate "C" not null,
    person    text collate "C" not null references person (id),
    -- As it was when it was proposed, and as it is to be.
    former_id text collate "C" not null,
    stable_id text collate "C" not null,
    primary key (hash, person)
);
