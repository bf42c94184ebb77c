//! What only this adapter can show.
