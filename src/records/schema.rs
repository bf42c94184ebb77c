//! How the schema of a store stands to the one that this program was made for. An older process works on a newer schema, so that several
//! processes can be replaced one after another, and one that ends meanwhile comes back; unless a migration says that it cannot.

/// The number of the last migration that a program has to know to work on the store, where there is such a one: a migration that the
/// release before cannot work with puts its own number there.
pub(crate) const LEAST_SCHEMA: &str = "select value from versions where name = 'least_schema'";

/// How a schema stands to the one that this program was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// It is that one.
    Current,
    /// Migrations are missing, or all of them.
    Older,
    /// A newer release has laid it out, and this one can work on it.
    Newer,
    /// A newer release has laid it out, and this one cannot work on it.
    TooNew,
}

impl Schema {
    /// What is said of one that this program cannot work on.
    pub const TOO_NEW: &str = "a newer release of atshub has laid out this store in a way that this one cannot work with; use that release, or go back to a back-up from before it";

    /// By the numbers of the last migration that was applied and of the last that this program knows, and of the last that it has to know.
    pub(crate) fn of(applied: Option<i64>, known: Option<i64>, least: Option<i64>) -> Self {
        match applied.cmp(&known) {
            std::cmp::Ordering::Equal => Self::Current,
            std::cmp::Ordering::Less => Self::Older,
            std::cmp::Ordering::Greater if least <= known => Self::Newer,
            std::cmp::Ordering::Greater => Self::TooNew,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_program_works_on_a_newer_schema_unless_a_migration_that_it_does_not_know_forbids_it() {
        for (applied, known, least, state) in [
            (None, Some(9), None, Schema::Older),
            (Some(8), Some(9), None, Schema::Older),
            (Some(9), Some(9), None, Schema::Current),
            (Some(9), Some(9), Some(9), Schema::Current),
            (Some(11), Some(9), None, Schema::Newer),
            (Some(11), Some(9), Some(9), Schema::Newer),
            (Some(11), Some(9), Some(10), Schema::TooNew),
            (Some(11), Some(9), Some(11), Schema::TooNew),
        ] {
            assert_eq!(Schema::of(applied, known, least), state, "{applied:?} {known:?} {least:?}");
        }
    }
}
