//! What `deploy/` promises: a bridge's broker user may do what its tenant's bridge needs and nothing else, and the files
//! say what its README says. Does not test the hub: exchanges and queues are declared by the tests, as the hub declares them.

mod broker;
mod broker_rights;
mod files;
