-- +goose Up

-- What people sent to the helpdesk from their laptops, with what they had to say.
create table diagnosis (
    id      text primary key,
    device  text not null references device (id),
    tenant  text not null references tenant (name),
    sent_at bigint not null,
    words   text not null,
    -- JSON, as the laptop has written it and its person has seen it.
    body    text not null
);
create index diagnosis_device on diagnosis (device, sent_at);
create index diagnosis_sent on diagnosis (sent_at);
