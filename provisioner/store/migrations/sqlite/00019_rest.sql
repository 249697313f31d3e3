-- +goose Up

-- Tenants whose access rests as a whole: devices that are enrolled meanwhile rest
-- too. Not about people.
create table tenant_suspension (
    tenant  text primary key references tenant (name),
    reason  text not null,
    since   bigint not null,
    -- When it ends by itself; zero: never.
    ends_at bigint not null
);
create index tenant_suspension_end on tenant_suspension (ends_at) where ends_at > 0;

-- A suspension of many is a source of its own from here on: 'helpdesk person', 'helpdesk
-- tenant', 'helpdesk tenant, version "1.2"'. Of those that there are it is known as
-- long as the person's own is kept, and for the seven days in which takings are.
update suspension set source = 'helpdesk person' where source = 'helpdesk' and exists (
    select 1 from device d join person_suspension p on p.person = d.person and p.tenant = d.tenant
    where d.id = suspension.device and p.reason = suspension.reason and p.ends_at = suspension.ends_at);
insert into tenant_suspension (tenant, reason, since, ends_at)
    select n.name, t.reason, t.created_at, t.ends_at from tenant n join taking t on t.selection = '{"tenant":"' || n.name || '"}'
    where t.action = 'suspend device' and not exists (select 1 from taking l
        where l.selection = t.selection and l.created_at > t.created_at and l.action in ('suspend device', 'restore device'))
    on conflict (tenant) do nothing;
update suspension set source = 'helpdesk tenant' where source = 'helpdesk' and exists (
    select 1 from device d join tenant_suspension n on n.tenant = d.tenant
    where d.id = suspension.device and n.reason = suspension.reason and n.ends_at = suspension.ends_at and suspension.since >= n.since);

-- Whose access somebody has taken, or given back, without a second person, of the last
-- hour: of more than 20 people it takes two. About people; deleted within two hours.
create table taken_alone (
    -- The id of who did it; 'operator': whoever signed in with the server's token.
    actor  text not null,
    tenant text not null,
    person text not null,
    at     bigint not null,
    primary key (actor, tenant, person)
);
create index taken_alone_at on taken_alone (at);

-- Operators propose across all tenants, too: tenant is empty then.
create table proposal_anew (
    id            text   primary key,
    -- 'reset factor', …
    kind          text   not null,
    tenant        text   not null,
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
insert into proposal_anew (id, kind, tenant, object, object_name, details, reason, proposed_by, proposed_name, proposed_at, expires_at)
    select id, kind, tenant, object, object_name, details, reason, proposed_by, proposed_name, proposed_at, expires_at from proposal;
drop table proposal;
alter table proposal_anew rename to proposal;
create unique index proposal_object on proposal (kind, tenant, object);
create index proposal_expiry on proposal (expires_at);

-- The device whose laptop goes to somebody by an invitation: to hand it over to somebody
-- else withdraws it. Empty: nobody's.
alter table invitation add column handed_over text not null default '';
create index invitation_handed_over on invitation (handed_over) where handed_over <> '' and ended_at = 0;

-- Who vouches for a laptop's serial number: 'invitation', 'helpdesk'; empty: nobody, the
-- laptop says so. Of the devices on one laptop only those are one open at a time.
alter table device add column serial_by text not null default '';
update device set serial_by = 'invitation' where exists (
    select 1 from invitation i where i.device = device.id and i.ended = 'used' and i.serial_number <> '');
