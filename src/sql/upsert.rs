//! Rows that shall say exactly this: inserted where they are missing, changed where they differ, left alone where they
//! are right, and counted accordingly.

use super::statement::{Value, sql};
use super::{Db, Dialect, Tx};

/// Values of one statement: MySQL takes 65,535 and SQLite 32,766.
const VALUES: usize = 32_000;

/// The rows of one table that an upsert writes.
#[derive(Clone, Copy, Debug)]
pub struct Upsert {
    /// The table.
    pub table: &'static str,
    /// The columns of its unique key.
    pub key: &'static [&'static str],
    /// The columns that say something: a row in which one differs is changed.
    pub facts: &'static [&'static str],
    /// The columns that say when: written with every change, never a reason for one.
    pub stamps: &'static [&'static str],
    /// The column that says when the row was made; kept when it is changed.
    pub created: &'static str,
}

impl Upsert {
    /// Writes the rows, each with the values of `key`, `facts`, `stamps` and `created` in this order, in one transaction.
    /// Answers how many were inserted or changed.
    pub async fn run(&self, db: &Db, rows: Vec<Vec<Value>>) -> Result<u64, sqlx::Error> {
        if rows.is_empty() {
            return Ok(0);
        }
        let mut tx = db.begin().await?;
        let width = self.key.len() + self.facts.len() + self.stamps.len() + 1;
        let mut changed = 0;
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let chunk: Vec<Vec<Value>> = rows.by_ref().take(VALUES / width).collect();
            changed += match db.dialect() {
                Dialect::Sqlite => self.sqlite(&mut tx, chunk).await?,
                Dialect::MySql => self.mysql(&mut tx, chunk).await?,
            };
        }
        tx.commit().await?;
        Ok(changed)
    }

    /// The condition leaves equal rows alone, so the number of affected rows is the number of changes.
    async fn sqlite(&self, tx: &mut Tx, rows: Vec<Vec<Value>>) -> Result<u64, sqlx::Error> {
        let assign = |column: &&str| format!("{column} = excluded.{column}");
        let differs = |column: &&str| format!("{column} is not excluded.{column}");
        let text = format!(
            "{} on conflict ({}) do update set {}, deleted_at = null, version = version + 1 \
             where {} or deleted_at is not null",
            self.insert("insert into", rows.len()),
            self.key.join(", "),
            join(self.facts.iter().chain(self.stamps).map(assign), ", "),
            join(self.facts.iter().map(differs), " or "),
        );
        tx.execute(sql(text).bind_all(rows.into_iter().flatten())).await
    }

    /// The connection counts rows that were found, so an equal row counts like an inserted one. Hence two steps: the
    /// first inserts what is missing and counts just that; the second, if anything was there, counts a changed row
    /// twice and every other one once.
    async fn mysql(&self, tx: &mut Tx, rows: Vec<Vec<Value>>) -> Result<u64, sqlx::Error> {
        let count = rows.len();
        let values: Vec<Value> = rows.into_iter().flatten().collect();
        // `ignore` also turns values that do not fit into warnings; the adapters check lengths and words before.
        let insert = self.insert("insert ignore into", count);
        let inserted = tx.execute(sql(insert).bind_all(values.clone())).await?;
        if inserted == count as u64 {
            return Ok(inserted);
        }
        let same = join(self.facts.iter().map(|c| format!("{c} <=> values({c})")), " and ");
        let differs = format!("not ({same} and deleted_at is null)");
        // Assignments are made from left to right: those that depend on the old values come first.
        let first = [format!("version = version + if({differs}, 1, 0)")]
            .into_iter()
            .chain(self.stamps.iter().map(|c| format!("{c} = if({differs}, values({c}), {c})")));
        let then = self.facts.iter().map(|c| format!("{c} = values({c})"));
        let text = format!(
            "{} on duplicate key update {}, {}, deleted_at = null",
            self.insert("insert into", count),
            join(first, ", "),
            join(then, ", "),
        );
        let touched = tx.execute(sql(text).bind_all(values)).await?;
        Ok(inserted + touched.saturating_sub(count as u64))
    }

    fn insert(&self, verb: &str, rows: usize) -> String {
        let columns: Vec<&str> =
            self.key.iter().chain(self.facts).chain(self.stamps).copied().chain([self.created]).collect();
        let row = format!("({})", vec!["?"; columns.len()].join(", "));
        format!("{verb} {} ({}) values {}", self.table, columns.join(", "), vec![row; rows].join(", "))
    }
}

fn join(parts: impl Iterator<Item = String>, between: &str) -> String {
    parts.collect::<Vec<_>>().join(between)
}
