-- +goose Up

-- The tenant in which somebody signed in, whose groups gave what she may do, also
-- in other tenants. Empty: by a one-time token, or before this was known.
alter table staff_token add column tenant text collate "C" not null default '';
