-- +goose Up

-- The second factor of a person, whatever her tenants.
create table factor (
    person    text   primary key references person (id),
    -- The secret that her phone has too, encrypted; base64.
    sealed    text   not null,
    -- The half minute since 1970 of the last code that counted: none counts twice.
    last_step bigint not null,
    -- Zero: begun only, and no code was shown yet.
    set_up_at bigint not null
);

-- What she can sign in with once without the phone, as SHA-256 in hex. A used
-- one is deleted.
create table recovery_code (
    hash   text primary key,
    person text not null references person (id)
);
create index recovery_code_person on recovery_code (person);

create index staff_token_person on staff_token (person);

-- What one person has proposed and another one must confirm.
create table proposal (
    id            text   primary key,
    -- 'reset factor', …
    kind          text   not null,
    tenant        text   not null references tenant (name),
    -- Whom or what it is about: a person, …
    object        text   not null,
    object_name   text   not null,
    -- What else there is to it, by name; JSON.
    details       text   not null,
    reason        text   not null,
    proposed_by   text   not null,
    proposed_name text   not null,
    proposed_at   bigint not null,
    expires_at    bigint not null
);
-- One proposal of a kind for ('stadt', person).
create unique index proposal_object on proposal (kind, tenant, object);
create index proposal_expiry on proposal (expires_at);
