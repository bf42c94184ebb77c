//! The name that a store gives itself, by which a broker knows whose it is.

/// A new one, as the stores keep it: a number that no other store has given itself.
pub(crate) fn new_identity() -> i64 {
    rand::random()
}

/// How it is shown and compared.
pub(crate) fn shown_identity(kept: i64) -> String {
    format!("{:016x}", kept.cast_unsigned())
}
