-- +goose Up

-- How far a key of the control plane has come: 'next' (a CA that agents learn
-- of and that does not issue yet), 'used', or 'retired' (a CA whose key has
-- been deleted; its certificates count as expired).
alter table sealed_key add column stage text not null default 'used';
-- Since when; zero for keys that were never anything else.
alter table sealed_key add column stage_at bigint not null default 0;
-- The certificate by which the former CA vouches for a 'ca' key, base64 of DER:
-- whoever knows only the former one trusts the new one by it.
alter table sealed_key add column bridge text not null default '';

-- Up to which revision of former epochs what was taken is taken here too: a
-- restore enters the epoch of the backup and those of the journals it replayed,
-- so that the next one does not replay them again.
create table known_epoch (
    epoch    text   primary key,
    revision bigint not null
);
