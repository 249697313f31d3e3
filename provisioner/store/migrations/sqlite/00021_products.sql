-- +goose Up

-- In how many sessions a metered product is in use now, as the laptops say that are
-- connected to each replica. Numbers alone: nothing leads from here to a person, a
-- laptop or a session.
create table product_present (
    replica  text not null,
    tenant   text not null,
    product  text not null,
    -- Empty: all versions together, those without one included.
    version  text not null,
    sessions bigint not null,
    primary key (replica, tenant, product, version)
);

-- Until when the numbers of a replica count: one that is gone takes them along.
create table product_replica (
    replica text primary key,
    until   bigint not null
);

-- The most sessions at one time that had a product in use, by the hour (when it
-- began). Numbers below 5 are never written: of few they would tell when somebody works.
create table product_peak (
    tenant   text not null,
    product  text not null,
    -- Empty: all versions together.
    version  text not null,
    hour     bigint not null,
    sessions bigint not null,
    primary key (tenant, product, version, hour)
);
create index product_peak_hour on product_peak (hour);

-- Pools from which a tenant's metered products have their seats: they give none to
-- sessions of its people. As the tenant's declaration says.
create table product_pool (
    tenant text not null,
    pool   text not null,
    primary key (tenant, pool)
);
