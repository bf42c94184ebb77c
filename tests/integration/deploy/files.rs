//! The files of `deploy/`.
