-- +goose Up

-- Warnings that capacity runs out, raised and ended once. They speak of what is declared,
-- in numbers that are told to planners anyway.
create table warning (
    id          text collate "C"   primary key,
    -- 'seats', 'forecast', 'queue', 'refused', 'sessions' or 'addresses'.
    kind        text collate "C"   not null,
    -- Of what: 'pool vpn', 'tenant stadt', 'gateway gw1', 'provider'.
    of_kind     text collate "C"   not null,
    name        text collate "C"   not null,
    -- The threshold, or of a forecast the probability; 0: there is none.
    percent     bigint not null,
    raised_at   bigint not null,
    -- When what raised it was measured, what it was then, and of how many.
    seen_at     bigint not null,
    value       bigint not null,
    capacity    bigint not null,
    -- When a forecast expected it; else 0.
    expected_at bigint not null,
    -- 0: it stands.
    ended_at    bigint not null,
    -- 'quiet', 'gone' or 'threshold'.
    ended_why   text collate "C"   not null,

    -- Up to when it was judged, and what is remembered for its end: quiet days in a row, how
    -- many milliseconds of the day under way are known, and 1 if that one is not quiet.
    judged_to   bigint not null,
    quiet_days  bigint not null,
    known_ms    bigint not null,
    spoilt      bigint not null
);
-- One stands at a time: 'seats, pool, vpn, 80'.
create unique index warning_open on warning (kind, of_kind, name, percent) where ended_at = 0;
create index warning_ended on warning (ended_at) where ended_at > 0;

-- Messages that the receiver of warnings has not got yet.
create table warning_message (
    -- In the order in which they came to be; those of one warning go one after the other.
    number   bigint primary key,
    -- As the receiver is told it, each time the same.
    id       text collate "C"   not null,
    warning  text collate "C"   not null,
    body     text collate "C"   not null,
    made_at  bigint not null,
    attempts bigint not null,
    -- When it is tried next, and when it first failed; 0: it did not.
    next_at  bigint not null,
    failed_at bigint not null,
    -- When it was given up; 0: it was not.
    given_up_at bigint not null
);
create index warning_message_next on warning_message (next_at) where given_up_at = 0;
create index warning_message_of on warning_message (warning, number);

-- Up to when the hours and the days were judged. One row.
create table warning_state (
    id       bigint primary key check (id = 1),
    hours_to bigint not null,
    days_to  bigint not null
);
