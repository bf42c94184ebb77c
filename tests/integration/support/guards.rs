//! Each exactly-once test twice: on the platform as it is, which refuses a second invitation itself, and on one that has no such guard, so
//! that nothing but the hub keeps a candidate from a second e-mail. A test calls `set_guard` before anything is asked.

#![cfg(test)]

/// Runs each of these functions on both.
macro_rules! with_and_without_guard {
    ($($sentence:ident)*) => {
        mod on_a_platform_that_refuses_doubles { $(
            #[test]
            fn $sentence() {
                super::$sentence(atshub_simulators::platform::Guard::RefusesDoubles);
            }
        )* }
        mod on_a_platform_without_a_guard { $(
            #[test]
            fn $sentence() {
                super::$sentence(atshub_simulators::platform::Guard::Absent);
            }
        )* }
    };
}
pub(crate) use with_and_without_guard;
