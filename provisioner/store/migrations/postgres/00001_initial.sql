-- +goose Up

-- Text compares by bytes, as in SQLite, whatever the locale of the database.
--
-- Times are milliseconds since 1970 UTC; zero: never. Lists and declarations
-- are JSON in text columns.

-- One row. Every transaction that gives or takes a right locks it first, so
-- that an opening and a revocation can never both win, and revisions come in
-- commit order without gaps.
create table allocation (
    id         integer primary key check (id = 1),
    -- Drawn anew when a database is made or restored.
    epoch      text collate "C" not null,
    revision   bigint  not null,
    -- Changes at or below this revision have been trimmed away.
    horizon    bigint  not null,
    -- The head of the audit log's chain: its last record's number and hash.
    audit_seq  bigint  not null,
    audit_head text collate "C" not null,
    -- Names this installation in certificates: 'hq3k…'.
    instance   text collate "C" not null
);

-- Keys of the control plane, sealed by the master key file.
create table sealed_key (
    -- 'ca', 'session-root', …; the highest version is the one in use.
    purpose    text collate "C" not null,
    version    bigint  not null,
    sealed     text collate "C" not null,
    -- The certificate of a 'ca' key, base64 of DER; empty for others.
    public     text collate "C" not null,
    created_at bigint  not null,
    primary key (purpose, version)
);

create table directory (
    name        text collate "C" primary key,
    declaration text collate "C" not null
);

create table tenant (
    name        text collate "C" primary key,
    directory   text collate "C" not null references directory (name),
    declaration text collate "C" not null
);

-- A mail domain leads to one tenant only: 'stadt.example' -> 'stadt'.
create table mail_domain (
    domain text collate "C" primary key,
    tenant text collate "C" not null references tenant (name)
);

create table licence_pool (
    name            text collate "C" primary key,
    seats           bigint not null,
    burst           bigint not null,
    valid_from      bigint not null,
    valid_until     bigint not null,
    declaration     text collate "C" not null,
    -- Seats held by open sessions. No check against seats + burst: a pool may
    -- shrink below what is held, and then drains.
    held            bigint not null,
    -- Seats guaranteed to tenants that do not hold them at present:
    -- the sum of max(0, guarantee - held) over pool_share.
    unused_guarantee bigint not null
);

create table pool_share (
    pool      text collate "C" not null references licence_pool (name),
    tenant    text collate "C" not null references tenant (name),
    guarantee bigint not null,
    -- 0: the declaration no longer names the tenant, which gives back its last seats.
    entitled  bigint not null,
    held      bigint not null,
    primary key (pool, tenant)
);
create index pool_share_tenant on pool_share (tenant);

create table gateway (
    name         text collate "C" primary key,
    endpoint     text collate "C" not null,
    sessions     bigint not null,
    aggregate_v4 text collate "C" not null,
    aggregate_v6 text collate "C" not null,
    masquerade   bigint not null,
    -- 32 bytes in base64; empty: has not joined.
    public_key   text collate "C" not null,
    generation   bigint not null,
    joined_at    bigint not null,
    certificate_not_after bigint not null,
    agent_version text collate "C" not null,
    -- Sessions open now.
    open         bigint not null
);

create table gateway_tenant (
    gateway text collate "C" not null references gateway (name),
    tenant  text collate "C" not null references tenant (name),
    primary key (gateway, tenant)
);
create index gateway_tenant_tenant on gateway_tenant (tenant);

-- What each gateway has said: one row a gateway, written by the replica that
-- holds its stream.
create table gateway_contact (
    gateway     text collate "C" primary key references gateway (name),
    connected   bigint not null,
    contact_at  bigint not null,
    -- End of the last whole pass of observations.
    observed_at bigint not null,
    epoch       text collate "C" not null,
    revision    bigint not null
);

-- A gateway's aggregate is cut into blocks of 64 addresses; a tenant gets
-- them as it needs them. Unique: a block belongs to one tenant.
create table address_block (
    gateway text collate "C" not null references gateway (name),
    block   bigint not null,
    tenant  text collate "C" not null,
    -- One bit an address, lowest first.
    used    bigint not null,
    primary key (gateway, block)
);
-- Where a tenant has an address free: a city's full blocks are not walked past.
create index address_block_free on address_block (gateway, tenant, block) where used <> -1;

create table person (
    id           text collate "C" primary key,
    directory    text collate "C" not null,
    stable_id    text collate "C" not null,
    login        text collate "C" not null,
    display_name text collate "C" not null,
    mail         text collate "C" not null,
    -- Folded, to find who is meant by what somebody typed.
    login_key    text collate "C" not null,
    mail_key     text collate "C" not null,
    -- Folded for searching: 'mueller, eva eva.mueller@stadt.example'.
    search       text collate "C" not null
);
-- A person is known by directory and stable id: who is deleted and made anew
-- with the same login has another entryUUID and is somebody else.
create unique index person_identity on person (directory, stable_id);
create index person_login on person (login_key);
create index person_mail on person (mail_key);

-- What the directory last said of a person in a tenant.
create table standing (
    person  text collate "C" not null references person (id),
    tenant  text collate "C" not null references tenant (name),
    groups  text collate "C" not null,
    ended   text collate "C" not null,
    read_at bigint not null,
    primary key (person, tenant)
);
create index standing_tenant on standing (tenant);

create table device (
    id            text collate "C" primary key,
    tenant        text collate "C" not null references tenant (name),
    person        text collate "C" not null references person (id),
    generation    bigint not null,
    name          text collate "C" not null,
    serial_number text collate "C" not null,
    platform      text collate "C" not null,
    public_key    text collate "C" not null,
    agent_version text collate "C" not null,
    enrolled_at   bigint not null,
    certificate_not_after bigint not null,
    revoked_at    bigint not null,
    revoked_why   text collate "C" not null,
    search        text collate "C" not null
);
create index device_person on device (person, tenant);
-- The same person on the same serial number replaces the old device: one
-- living device for ('stadt', person, '5CG1234XYZ'). Machines without a serial
-- number are told apart by their keys.
create unique index device_serial on device (tenant, person, serial_number)
    where serial_number <> '' and revoked_at = 0;

-- Every WireGuard key ever used, by devices and gateways. Unique: a key that
-- is dead does not return, and no two machines share one.
create table used_key (
    public_key text collate "C" primary key,
    -- 'device h2k…' or 'gateway gw1'.
    owner      text collate "C" not null
);

-- Why access rests; each source takes and gives back its own.
create table suspension (
    device text collate "C" not null references device (id),
    source text collate "C" not null,
    reason text collate "C" not null,
    since  bigint not null,
    primary key (device, source)
);

-- A device gets its former address on a gateway back if it is free.
create table former_address (
    device        text collate "C" not null references device (id),
    gateway       text collate "C" not null,
    address_index bigint not null,
    used_at       bigint not null,
    primary key (device, gateway)
);

create table session (
    id             text collate "C" primary key,
    device         text collate "C" not null references device (id),
    tenant         text collate "C" not null,
    person         text collate "C" not null,
    gateway        text collate "C" not null references gateway (name),
    pool           text collate "C" not null,
    address_index  bigint not null,
    key_version    bigint not null,
    public_key     text collate "C" not null,
    -- The laptop's stream that holds it; of two streams the newer wins.
    stream         text collate "C" not null,
    revision       bigint not null,
    opened_at      bigint not null,
    lease_until    bigint not null,
    renewed_at     bigint not null,
    -- What the gateway saw: bytes as the gateway counts them.
    last_handshake bigint not null,
    received_bytes bigint not null,
    sent_bytes     bigint not null,
    -- What the laptop reported with its last renewal, since the session opened.
    reported_handshake bigint not null,
    reported_received  bigint not null,
    reported_sent      bigint not null,
    closed_at      bigint not null,
    closed_why     text collate "C" not null,
    closed_revision bigint not null
);
-- Never one address twice on a gateway: ('gw1', 65) while open.
create unique index session_address on session (gateway, address_index) where closed_at = 0;
-- A device holds one session at a time.
create unique index session_device on session (device) where closed_at = 0;
create index session_lease on session (lease_until) where closed_at = 0;
create index session_tenant on session (tenant, id) where closed_at = 0;
create index session_closed on session (closed_at) where closed_at > 0;
create index session_of_device on session (device, closed_revision);

-- What moved, in commit order; revisions have no gaps.
create table change (
    revision bigint primary key,
    kind     text collate "C" not null,
    tenant   text collate "C" not null,
    gateway  text collate "C" not null,
    device   text collate "C" not null,
    session  text collate "C" not null
);
create index change_gateway on change (gateway, revision);

-- Tokens of signed-in people, as SHA-256 in hex.
create table staff_token (
    hash       text collate "C" primary key,
    person     text collate "C" not null,
    name       text collate "C" not null,
    grants     text collate "C" not null,
    created_at bigint not null,
    expires_at bigint not null
);
create index staff_token_expiry on staff_token (expires_at);

-- One-time tokens as SHA-256 in hex. Used up by setting used_at once.
create table one_time_token (
    hash       text collate "C" primary key,
    -- 'operator' or 'gateway'.
    purpose    text collate "C" not null,
    -- The gateway's name.
    subject    text collate "C" not null,
    created_at bigint not null,
    expires_at bigint not null,
    used_at    bigint not null
);

-- Wrong passwords by login ('l:stadt/eva') and by source ('s:192.0.2.7').
create table throttle (
    key         text collate "C" primary key,
    failures    bigint not null,
    -- When the first of them was counted.
    since       bigint not null
);
create index throttle_since on throttle (since);

-- The last refusals, for the helpdesk.
create table recent_refusal (
    id     text collate "C" primary key,
    at     bigint not null,
    tenant text collate "C" not null,
    -- As typed, folded; empty where a device was refused.
    login  text collate "C" not null,
    person text collate "C" not null,
    device text collate "C" not null,
    code   text collate "C" not null,
    cause  text collate "C" not null,
    source text collate "C" not null
);
create index recent_refusal_person on recent_refusal (person, at);
create index recent_refusal_login on recent_refusal (tenant, login, at);
create index recent_refusal_device on recent_refusal (device, code);
create index recent_refusal_at on recent_refusal (at);

-- The tamper-evident log; its chain's head stands in allocation.
create table audit (
    seq        bigint primary key,
    at         bigint not null,
    tenant     text collate "C" not null,
    -- Empty once erased; the chain still verifies over the commitment.
    payload    text collate "C" not null,
    salt       text collate "C" not null,
    commitment text collate "C" not null,
    hash       text collate "C" not null
);
create index audit_tenant on audit (tenant, seq);
