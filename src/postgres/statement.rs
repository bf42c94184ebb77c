//! One statement for all that a group of changes writes, put together of pieces: common table expressions, and what has to hold of them.
//! Decides nothing, and knows no table.
//!
//! What does not hold divides by nought, which ends the transaction in the database itself: nobody has to wait for an answer before the
//! next statement, or `commit`, is sent.

use super::{connection::Fault, sending::Sent};
use deadpool_postgres::Client;
use std::fmt::Write as _;
use tokio_postgres::{Row, types::ToSql};

/// A parameter of a statement.
pub(super) type Parameter<'a> = Box<dyn ToSql + Sync + Send + 'a>;

/// What a piece says. Its parameters are numbered from 1; its names are its own among all pieces that can meet.
pub(super) struct Sql {
    /// Common table expressions.
    pub with: &'static str,
    /// What has to hold, or somebody else was faster.
    pub holds: &'static str,
    /// A column of the statement's answer.
    pub answer: Option<&'static str>,
}

/// A piece with its parameters.
pub(super) struct Piece<'a> {
    pub sql: &'static Sql,
    pub parameters: Vec<Parameter<'a>>,
    /// It writes nothing.
    pub is_empty: bool,
}

/// Pieces that are sent together.
pub(super) struct Statement<'a> {
    sql: String,
    parameters: Vec<Parameter<'a>>,
}

impl<'a> Statement<'a> {
    /// Of these.
    pub(super) fn of(pieces: impl IntoIterator<Item = Piece<'a>>) -> Self {
        let (mut with, mut holds, mut answer) = (String::new(), String::new(), String::new());
        let mut parameters = Vec::new();
        for Piece { sql, parameters: own, .. } in pieces {
            let before = parameters.len();
            with.push_str(if with.is_empty() { "with " } else { ", " });
            renumbered(&mut with, sql.with, before);
            holds.push_str(if holds.is_empty() { "" } else { " and " });
            renumbered(&mut holds, sql.holds, before);
            if let Some(own) = sql.answer {
                answer.push_str(", ");
                answer.push_str(own);
            }
            parameters.extend(own);
        }
        Self { sql: format!("{with} select 1 / ({holds})::int{answer}"), parameters }
    }

    /// So that it is sent as soon as it is asked.
    pub(super) async fn prepare(&self, client: &Client) -> Result<(), Fault> {
        client.prepare_cached(&self.sql).await?;
        Ok(())
    }

    /// Waits for the answer; the statement is under way when it says so.
    pub(super) async fn ask(&self, client: &Client, sent: Sent<'_>) -> Result<Vec<Row>, Fault> {
        let statement = client.prepare_cached(&self.sql).await?;
        let parameters: Vec<&(dyn ToSql + Sync)> = self.parameters.iter().map(|p| &**p as &(dyn ToSql + Sync)).collect();
        Ok(sent.after(client.query(&statement, &parameters)).await?)
    }
}

/// Appends a piece whose parameters come after that many others.
fn renumbered(to: &mut String, sql: &str, before: usize) {
    let mut parts = sql.split('$');
    to.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, rest) = part.split_at(digits);
        // Writing to a string does not fail.
        let _ = write!(to, "${}{rest}", number.parse().unwrap_or(0) + before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Sql = Sql { with: "a as (select $1::int, $2::int)", holds: "(select count(*) = $2 from a)", answer: None };
    const TEN: Sql = Sql { with: "b as (select $1, $12)", holds: "$11", answer: Some("array(select number from b)") };
    const LAST: Sql = Sql { with: "c as (select $2)", holds: "$1", answer: None };

    fn piece(sql: &'static Sql, parameters: usize) -> Piece<'static> {
        let parameters = (0..parameters).map(|n| Box::new(i32::try_from(n).unwrap()) as Parameter<'_>).collect();
        Piece { sql, parameters, is_empty: false }
    }

    #[test]
    fn pieces_are_one_statement_whose_parameters_are_numbered_through() {
        let one = Statement::of([piece(&ONE, 2)]);
        assert_eq!(one.sql, "with a as (select $1::int, $2::int) select 1 / ((select count(*) = $2 from a))::int");
        let all = Statement::of([piece(&ONE, 2), piece(&TEN, 12), piece(&LAST, 2)]);
        assert_eq!(
            all.sql,
            "with a as (select $1::int, $2::int), b as (select $3, $14), c as (select $16) \
             select 1 / ((select count(*) = $2 from a) and $13 and $15)::int, array(select number from b)"
        );
        assert_eq!(all.parameters.len(), 16);
    }
}
