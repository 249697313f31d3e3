-- +goose Up

-- Whose access rests, whatever her devices are: those that she enrols meanwhile
-- rest too.
create table person_suspension (
    person  text collate "C" not null references person (id),
    tenant  text collate "C" not null references tenant (name),
    reason  text collate "C" not null,
    since   bigint not null,
    -- When it ends by itself; zero: never.
    ends_at bigint not null,
    primary key (person, tenant)
);
create index person_suspension_end on person_suspension (ends_at) where ends_at > 0;

-- Laptops that were reported as lost or stolen, for the data protection officer.
create table lost_device (
    id          text collate "C" primary key,
    tenant      text collate "C" not null,
    -- Whose laptop; both empty once she is forgotten.
    device      text collate "C" not null,
    person      text collate "C" not null,
    -- 1: stolen.
    stolen      bigint not null,
    reason      text collate "C" not null,
    -- From here on 72 hours count (Art. 33 GDPR), and who said it.
    reported_at bigint not null,
    reported_by text collate "C" not null,
    -- Since when it is gone, as it was stated; zero: nobody knows.
    lost_since  bigint not null,
    -- 'yes', 'no' or 'unknown': it had a session since then.
    connected   text collate "C" not null,
    -- When the last gateway had confirmed that nothing passes; zero: not yet then.
    ended_at    bigint not null,
    -- When a gateway that had not confirmed ends it by itself; zero: all had.
    ends_at     bigint not null
);
create unique index lost_device_device on lost_device (device) where device <> '';
create index lost_device_reported on lost_device (reported_at);

-- The day on which an address was last used, in the order of use: exact to the
-- millisecond it was the end of somebody's last working day, for ever.
update former_address set used_at = used_at - used_at % 86400000;
