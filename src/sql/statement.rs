//! A statement with its values, and what runs it.

use sqlx::mysql::MySqlConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, MySql, Sqlite};

use super::DatabaseKind;
use super::row::Row;
use super::value::Value;

/// One statement. Its text is written by this program alone: values are bound, never pasted.
#[derive(Clone, Debug)]
pub struct Statement {
    text: String,
    values: Vec<Value>,
}

/// A statement of this text, with `?` for each value.
pub fn sql(text: impl Into<String>) -> Statement {
    Statement { text: text.into(), values: Vec::new() }
}

impl Statement {
    /// The value of the next `?`.
    #[must_use]
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// The values of the next `?`s.
    #[must_use]
    pub fn bind_all(mut self, values: impl IntoIterator<Item = impl Into<Value>>) -> Self {
        self.values.extend(values.into_iter().map(Into::into));
        self
    }

    /// More text.
    #[must_use]
    pub fn push(mut self, text: &str) -> Self {
        self.text.push_str(text);
        self
    }

    /// More text with one value, if there is one.
    #[must_use]
    pub fn push_some(self, text: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.push(text).bind(value),
            None => self,
        }
    }

    /// `(?, ?)` with these values: the right side of an `in`. At least one value is needed.
    #[must_use]
    pub fn push_list(self, values: impl IntoIterator<Item = impl Into<Value>>) -> Self {
        let values = padded(values.into_iter().map(Into::into).collect());
        self.push(&format!("({})", vec!["?"; values.len()].join(", "))).bind_all(values)
    }

    /// `((?, ?), (?, ?))` with these values: the right side of an `in`. SQLite wants the word `values` in it. At least
    /// one tuple is needed.
    #[must_use]
    pub fn push_tuples<const N: usize>(
        self,
        database: DatabaseKind,
        tuples: impl IntoIterator<Item = [Value; N]>,
    ) -> Self {
        let tuples = padded(tuples.into_iter().collect());
        let values = match database {
            DatabaseKind::Sqlite => "values ",
            DatabaseKind::MySql => "",
        };
        let tuple = format!("({})", ["?"; N].join(", "));
        self.push(&format!("({values}{})", vec![tuple; tuples.len()].join(", ")))
            .bind_all(tuples.into_iter().flatten())
    }

    /// Instead of what the statement gives, how this database goes about it.
    #[must_use]
    pub fn explain(self, database: DatabaseKind) -> Self {
        let explain = match database {
            DatabaseKind::Sqlite => "explain query plan",
            DatabaseKind::MySql => "explain",
        };
        Self { text: format!("{explain} {}", self.text), values: self.values }
    }

    /// Cuts a list: one row more than this, which says that the list goes on, from this row on.
    #[must_use]
    pub fn push_part(self, size: u32, offset: Option<i64>) -> Self {
        let query = self.push(" limit ?").bind(size.saturating_add(1));
        query.push_some(" offset ?", offset.filter(|offset| *offset > 0))
    }

    /// ` and …`: rows that come after the one with these values, in the order of these columns. Each database finds the
    /// beginning in an index that has the columns in this order only where it is written in its own way: SQLite reads a
    /// tuple as a range, and an `or` as a reason to look at every row; MySQL does the reverse.
    #[must_use]
    pub fn push_after<const N: usize>(
        self,
        database: DatabaseKind,
        columns: [&str; N],
        order: Order,
        values: [Value; N],
    ) -> Self {
        let beyond = order.beyond();
        match database {
            DatabaseKind::Sqlite if N > 1 => {
                let marks = ["?"; N].join(", ");
                self.push(&format!(" and ({}) {beyond} ({marks})", columns.join(", "))).bind_all(values)
            }
            DatabaseKind::Sqlite | DatabaseKind::MySql => {
                let (mut text, mut bound) = (String::new(), Vec::new());
                for (depth, (column, value)) in columns.into_iter().zip(values).enumerate() {
                    text += &[column, " ", beyond, " ?"].concat();
                    bound.push(value.clone());
                    if depth + 1 < N {
                        text += &[" or (", column, " = ? and ("].concat();
                        bound.push(value);
                    }
                }
                self.push(&format!(" and ({text}{})", "))".repeat(N.saturating_sub(1)))).bind_all(bound)
            }
        }
    }
}

/// Which way a list goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The smallest first.
    Rising,
    /// The greatest first.
    Falling,
}

impl Order {
    fn beyond(self) -> &'static str {
        match self {
            Self::Rising => ">",
            Self::Falling => "<",
        }
    }
}

/// The values of one `in` at most: with more, the databases' plans leave the ranges of an index.
pub const LONGEST_LIST: usize = 500;

/// The lengths that lists are filled up to. Each length is a text of its own, and a text that comes again stays
/// prepared on its connection; one that is not kept costs 40 ms over TCP on MySQL.
const LENGTHS: [usize; 4] = [1, 8, 64, LONGEST_LIST];

/// A list with its last value repeated, up to one of a few lengths: what is looked for twice is found once.
pub fn padded<T: Clone>(mut list: Vec<T>) -> Vec<T> {
    let length = LENGTHS.into_iter().find(|length| *length >= list.len());
    let length = length.unwrap_or_else(|| list.len().next_multiple_of(LONGEST_LIST));
    if let Some(last) = list.last().cloned() {
        list.resize(length, last);
    }
    list
}

/// What runs a statement: a connection, that of a transaction too.
pub(super) trait Runs: Sized {
    async fn execute(self, statement: Statement) -> Result<u64, sqlx::Error>;
    /// The same with rows that the caller keeps.
    async fn execute_rows(self, text: String, rows: &[Vec<Value>]) -> Result<u64, sqlx::Error>;
    async fn fetch_all(self, statement: Statement) -> Result<Vec<Row>, sqlx::Error>;
}

macro_rules! bound {
    ($text:expr, $values:expr, $database:ty) => {{
        let mut query = sqlx::query::<$database>(AssertSqlSafe($text));
        for value in $values {
            query = match value {
                Value::Null => query.bind(None::<&str>),
                Value::Int(number) => query.bind(*number),
                Value::Text(text) => query.bind(text.as_str()),
                Value::Bytes(bytes) => query.bind(bytes.as_slice()),
            };
        }
        query
    }};
}

macro_rules! runs {
    ($target:ty, $database:ty) => {
        impl Runs for $target {
            async fn execute(self, statement: Statement) -> Result<u64, sqlx::Error> {
                let query = bound!(statement.text, &statement.values, $database);
                Ok(query.execute(self).await?.rows_affected())
            }

            async fn execute_rows(self, text: String, rows: &[Vec<Value>]) -> Result<u64, sqlx::Error> {
                let query = bound!(text, rows.iter().flatten(), $database);
                Ok(query.execute(self).await?.rows_affected())
            }

            async fn fetch_all(self, statement: Statement) -> Result<Vec<Row>, sqlx::Error> {
                let query = bound!(statement.text, &statement.values, $database);
                let rows = query.fetch_all(self).await?;
                rows.iter().map(Row::try_from).collect()
            }
        }
    };
}

runs!(&mut SqliteConnection, Sqlite);
runs!(&mut MySqlConnection, MySql);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_have_few_lengths_and_hold_nothing_new() {
        for (length, padded_to) in [(1, 1), (2, 8), (8, 8), (9, 64), (65, 500), (500, 500), (501, 1_000)] {
            let list = padded((0..length).collect::<Vec<_>>());
            assert_eq!(list.len(), padded_to, "{length}");
            assert!(list[length..].iter().all(|value| *value == length - 1));
        }
        assert_eq!(padded(Vec::<i64>::new()), [0; 0]);
    }

    #[test]
    fn a_list_is_written_for_its_database() {
        let tuples = || [[Value::from(1_i64), "a".into()], [2_i64.into(), "b".into()]];
        let sqlite = sql("(a, b) in ").push_tuples(DatabaseKind::Sqlite, tuples());
        assert!(sqlite.text.starts_with("(a, b) in (values (?, ?), (?, ?), "), "{}", sqlite.text);
        let mysql = sql("(a, b) in ").push_tuples(DatabaseKind::MySql, tuples());
        assert!(mysql.text.starts_with("(a, b) in ((?, ?), (?, ?), "), "{}", mysql.text);
        assert_eq!((mysql.values.len(), &mysql.values[14]), (16, &Value::Int(2)));
        assert_eq!(sql("a in ").push_list([7_i64]).text, "a in (?)");
    }

    #[test]
    fn what_comes_after_a_row_is_written_for_its_database() {
        let after = |database| {
            let values = ["x".into(), Value::from(2_i64), 3_i64.into()];
            sql("true").push_after(database, ["a", "b", "c"], Order::Rising, values)
        };
        let sqlite = after(DatabaseKind::Sqlite);
        assert_eq!((sqlite.text.as_str(), sqlite.values.len()), ("true and (a, b, c) > (?, ?, ?)", 3));
        let mysql = after(DatabaseKind::MySql);
        assert_eq!(mysql.text, "true and (a > ? or (a = ? and (b > ? or (b = ? and (c > ?)))))");
        assert_eq!(mysql.values, ["x".into(), "x".into(), Value::Int(2), Value::Int(2), Value::Int(3)]);
        for database in [DatabaseKind::Sqlite, DatabaseKind::MySql] {
            let falling = sql("true").push_after(database, ["id"], Order::Falling, [7_i64.into()]);
            assert_eq!(falling.text, "true and (id < ?)");
        }
    }
}
