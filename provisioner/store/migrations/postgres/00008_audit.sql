-- +goose Up

-- The number of the last audit record of any chain: in the order in which they
-- were written. Programs of the version before write records without one.
alter table allocation add column audit_number bigint not null default 0;

-- From here on table audit is the installation's own chain: what concerns no one
-- tenant. What it holds of tenants was written by versions before.
alter table audit add column number bigint not null default 0;
-- How long the payload is kept: 'security' or 'change'; '': a version before
-- wrote it and did not say.
alter table audit add column class text collate "C" not null default '';
create index audit_at on audit (at);
create index audit_keep on audit (class, at) where payload <> '';

-- The tenants' chains; their heads stand in audit_chain. seq is unique within a
-- tenant and without gaps, number over all of them.
create table audit_record (
    tenant     text collate "C" not null,
    seq        bigint not null,
    number     bigint not null unique,
    at         bigint not null,
    class      text collate "C" not null,
    -- Empty once erased; the chain still verifies over the commitment.
    payload    text collate "C" not null,
    salt       text collate "C" not null,
    commitment text collate "C" not null,
    hash       text collate "C" not null,
    primary key (tenant, seq)
);
create index audit_record_tenant_at on audit_record (tenant, at);
create index audit_record_at on audit_record (at);
create index audit_record_keep on audit_record (class, at) where payload <> '';

create table audit_chain (
    tenant text collate "C" primary key,
    seq    bigint not null,
    hash   text collate "C" not null
);

-- The control plane's signed word on how far a chain had come; '' is the
-- installation's.
create table audit_checkpoint (
    number    bigint primary key,
    at        bigint not null,
    chain     text collate "C" not null,
    seq       bigint not null,
    hash      text collate "C" not null,
    -- Of the public key, and what it signed.
    key_id    text collate "C" not null,
    signature text collate "C" not null
);
create unique index audit_checkpoint_chain on audit_checkpoint (chain, seq);
create index audit_checkpoint_at on audit_checkpoint (at);

-- What the collector has: one row. The last record of the installation's chain,
-- the last record of the tenants' by number, the last checkpoint.
create table audit_collected (
    id         bigint primary key,
    seq        bigint not null,
    number     bigint not null,
    checkpoint bigint not null
);
