//! Rows that shall say exactly this: inserted where they are missing, changed where they differ, left alone where they
//! are right, and counted accordingly.

use std::collections::HashSet;

use super::rows::{insert, parts};
use super::statement::{LONGEST_LIST, padded, sql};
use super::value::Value;
use super::{DatabaseKind, Db, Tx};
use crate::domain::hex::hex;

/// Rows of a sample that tells whether looking is worth its time.
const SAMPLE: usize = 16;

/// The rows of one table that an upsert writes. Beside the columns that are named here the table has `created_at`, kept
/// when a row is changed, `deleted_at`, for a row that is written is not deleted, and `version`, which counts the changes.
#[derive(Clone, Copy, Debug)]
pub struct Upsert {
    /// The table.
    pub table: &'static str,
    /// The columns of its unique key. The first one says the same in all rows of one run.
    pub key: &'static [&'static str],
    /// The columns that say something: a row in which one differs is changed.
    pub facts: &'static [&'static str],
    /// The columns that say when: written with every change, never a reason for one.
    pub stamps: &'static [&'static str],
}

impl Upsert {
    /// Writes the rows, each with the values of `key` and `facts` in this order and no key twice, in one transaction; the
    /// stamps of all say `now`. Answers how many were inserted or changed.
    pub async fn run(&self, db: &Db, mut rows: Vec<Vec<Value>>, now: &str) -> Result<u64, sqlx::Error> {
        if rows.is_empty() {
            return Ok(0);
        }
        for row in &mut rows {
            row.resize(self.columns().len(), now.into());
        }
        let mut tx = db.begin().await?;
        if db.kind() == DatabaseKind::MySql {
            self.remove_unchanged(&mut tx, &mut rows).await?;
        }
        let mut changed = 0;
        for part in parts(&rows) {
            changed += match db.kind() {
                DatabaseKind::Sqlite => self.sqlite(&mut tx, part).await?,
                DatabaseKind::MySql => self.mysql(&mut tx, part).await?,
            };
        }
        tx.commit().await?;
        Ok(changed)
    }

    /// Leaves out rows that the table holds as they are. `InnoDB` finds an equal row by inserting another one and undoing
    /// that, which takes several times as long as a look. Where a sample finds no row at all, nobody looks.
    async fn remove_unchanged(&self, tx: &mut Tx, rows: &mut Vec<Vec<Value>>) -> Result<(), sqlx::Error> {
        let step = rows.len().div_ceil(SAMPLE);
        let sample = rows.iter().step_by(step).map(Vec::as_slice).collect();
        if self.existing(tx, sample).await?.is_empty() {
            return Ok(());
        }
        let mut equal = HashSet::with_capacity(rows.len());
        for part in rows.chunks(LONGEST_LIST) {
            equal.extend(self.existing(tx, part.iter().map(Vec::as_slice).collect()).await?);
        }
        rows.retain(|row| !equal.contains(&texts(&row[..self.key.len() + self.facts.len()])));
        Ok(())
    }

    /// Keys and facts, as texts, of the rows that exist under these keys.
    async fn existing(
        &self,
        tx: &mut Tx,
        rows: Vec<&[Value]>,
    ) -> Result<HashSet<Vec<Option<String>>>, sqlx::Error> {
        let rows = padded(rows);
        let columns = self.key.iter().chain(self.facts).map(|column| format!("cast({column} as char)"));
        // MariaDB looks for tuples one by one only when the column that is the same in all of them is not in them.
        let (common, own) = (self.key[0], &self.key[1..]);
        let tuple = format!("({})", vec!["?"; own.len()].join(", "));
        let text = format!(
            "select {} from {} where {common} = ? and deleted_at is null and ({}) in ({})",
            join(columns, ", "),
            self.table,
            own.join(", "),
            vec![tuple; rows.len()].join(", "),
        );
        let keys = rows.iter().flat_map(|row| row[1..self.key.len()].iter().cloned());
        let found = tx.fetch_all(sql(text).bind(rows[0][0].clone()).bind_all(keys)).await?;
        Ok(found.iter().map(|row| texts(row.values())).collect())
    }

    /// The condition leaves equal rows alone, so the number of affected rows is the number of changes.
    async fn sqlite(&self, tx: &mut Tx, rows: &[Vec<Value>]) -> Result<u64, sqlx::Error> {
        let assign = |column: &&str| format!("{column} = excluded.{column}");
        let differs = |column: &&str| format!("{column} is not excluded.{column}");
        let text = format!(
            "{} on conflict ({}) do update set {}, deleted_at = null, version = version + 1 \
             where {} or deleted_at is not null",
            insert("insert into", self.table, &self.columns(), rows.len()),
            self.key.join(", "),
            join(self.facts.iter().chain(self.stamps).map(assign), ", "),
            join(self.facts.iter().map(differs), " or "),
        );
        tx.execute_rows(text, rows).await
    }

    /// The connection counts rows that were found, so an equal row counts like an inserted one. Hence two steps: the
    /// first inserts what is missing and counts just that; the second, if anything was there, counts a changed row
    /// twice and every other one once.
    async fn mysql(&self, tx: &mut Tx, rows: &[Vec<Value>]) -> Result<u64, sqlx::Error> {
        let (columns, count) = (self.columns(), rows.len());
        // `ignore` also turns values that do not fit into warnings; the adapters check lengths and words before.
        let inserted =
            tx.execute_rows(insert("insert ignore into", self.table, &columns, count), rows).await?;
        if inserted == count as u64 {
            return Ok(inserted);
        }
        let equal = join(self.facts.iter().map(|c| format!("{c} <=> values({c})")), " and ");
        let differs = format!("not ({equal} and deleted_at is null)");
        // Assignments are made from left to right: those that depend on the old values come first.
        let first = [format!("version = version + if({differs}, 1, 0)")]
            .into_iter()
            .chain(self.stamps.iter().map(|c| format!("{c} = if({differs}, values({c}), {c})")));
        let then = self.facts.iter().map(|c| format!("{c} = values({c})"));
        let text = format!(
            "{} on duplicate key update {}, {}, deleted_at = null",
            insert("insert into", self.table, &columns, count),
            join(first, ", "),
            join(then, ", "),
        );
        let touched = tx.execute_rows(text, rows).await?;
        Ok(inserted + touched.saturating_sub(count as u64))
    }

    /// The columns in the order of a row's values.
    fn columns(&self) -> Vec<&'static str> {
        let named = self.key.iter().chain(self.facts).chain(self.stamps).copied();
        named.chain(["created_at"]).collect()
    }
}

/// As the database casts them: what says the same is the same text.
fn texts(values: &[Value]) -> Vec<Option<String>> {
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::Int(number) => Some(number.to_string()),
        Value::Text(text) => Some(text.clone()),
        Value::Bytes(bytes) => Some(hex(bytes)),
    };
    values.iter().map(text).collect()
}

fn join(parts: impl Iterator<Item = String>, between: &str) -> String {
    parts.collect::<Vec<_>>().join(between)
}
