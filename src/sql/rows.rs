//! Many rows in few statements.

use super::value::Value;
use super::{DatabaseKind, Tx};

/// Rows of one statement: any number of rows is a sum of these. A text that comes again stays prepared on its
/// connection, so there are few. Times the columns, the most is less than SQLite's 32,766 values and MySQL's 65,535.
const SIZES: [usize; 6] = [2_048, 512, 128, 32, 8, 1];

/// The rows, in as many parts as there are statements.
pub(super) fn parts<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = SIZES.into_iter().find(|size| *size <= rows.len())?;
        let (part, rest) = rows.split_at(size);
        rows = rest;
        Some(part)
    })
}

/// `verb table (a, b) values (?, ?), (?, ?)`, for so many rows.
pub(super) fn insert(verb: &str, table: &str, columns: &[&str], rows: usize) -> String {
    let row = format!("({})", vec!["?"; columns.len()].join(", "));
    format!("{verb} {table} ({}) values {}", columns.join(", "), vec![row; rows].join(", "))
}

/// Inserts rows, each with the values of these columns.
pub async fn insert_rows(
    tx: &mut Tx,
    table: &str,
    columns: &[&str],
    rows: &[Vec<Value>],
) -> Result<(), sqlx::Error> {
    insert_by("insert into", tx, table, columns, rows).await
}

/// The same, but for rows whose keys are there already. MySQL then also turns values that do not fit into warnings.
pub async fn insert_new_rows(
    tx: &mut Tx,
    table: &str,
    columns: &[&str],
    rows: &[Vec<Value>],
) -> Result<(), sqlx::Error> {
    let verb = match tx.kind() {
        DatabaseKind::Sqlite => "insert or ignore into",
        DatabaseKind::MySql => "insert ignore into",
    };
    insert_by(verb, tx, table, columns, rows).await
}

async fn insert_by(
    verb: &str,
    tx: &mut Tx,
    table: &str,
    columns: &[&str],
    rows: &[Vec<Value>],
) -> Result<(), sqlx::Error> {
    for part in parts(rows) {
        tx.execute_rows(insert(verb, table, columns, part.len()), part).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_rows_is_a_sum_of_few_sizes() {
        let rows = vec![(); 2_701];
        let sizes: Vec<usize> = parts(&rows).map(<[()]>::len).collect();
        assert_eq!(sizes, [2_048, 512, 128, 8, 1, 1, 1, 1, 1]);
        assert_eq!(parts::<()>(&[]).count(), 0);
    }
}
