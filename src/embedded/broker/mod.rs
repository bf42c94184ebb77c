//! The broker on SQLite.
