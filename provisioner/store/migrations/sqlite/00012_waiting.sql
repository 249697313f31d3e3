-- +goose Up

-- Laptops that wait until somebody who is signed in elsewhere enrols them by a short
-- code (in the manner of RFC 8628). Rows are few: who may have how many is bounded.
create table waiting_laptop (
    -- What the laptop shows to ask, as SHA-256 in hex: the device code.
    hash          text   primary key,
    -- What its person types elsewhere. One laptop for 'WDJBMJHT'; drawn anew for each.
    user_code     text   not null unique,
    -- The tenant that the laptop names, or that of who has decided. Empty: any.
    tenant        text   not null,
    name          text   not null,
    serial_number text   not null,
    platform      text   not null,
    agent_version text   not null,
    public_key    text   not null,
    -- PKCS #10, base64.
    certificate_request text not null,
    -- The network address from which it asks, and what is counted by: of IPv6 the first 64 bits.
    source        text   not null,
    network       text   not null,
    begun_at      bigint not null,
    -- Until when it can be decided on.
    expires_at    bigint not null,
    -- Until when it is kept for the laptop to fetch the answer.
    kept_until    bigint not null,
    -- 'waiting', 'approved' or 'denied'.
    state         text   not null,
    -- What the laptop is told once it is approved; JSON.
    answer        text   not null
);
create index waiting_laptop_network on waiting_laptop (network, expires_at);
create index waiting_laptop_expiry on waiting_laptop (expires_at);
create index waiting_laptop_kept on waiting_laptop (kept_until);

-- Who waits for the helpdesk's word: few of many suspensions.
create index suspension_approval on suspension (since) where source = 'approval';
