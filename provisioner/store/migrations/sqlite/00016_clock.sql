-- +goose Up

-- What the laptop's clock showed with its last renewal: beside renewed_at it says how far
-- it is off. Zero: it did not say.
alter table session add column reported_clock bigint not null default 0;
