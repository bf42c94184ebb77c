-- The version with which a tenant's standing last changed: who changes it says which one that is to be in place of.
alter table tenants add column stood integer not null default 0;
