//! A statement with its values, and the rows that it gives.

use sqlx::mysql::{MySqlConnection, MySqlRow};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, MySql, MySqlPool, Row as _, Sqlite, SqlitePool, TypeInfo, ValueRef};

use super::Dialect;

/// What travels to and from the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A whole number.
    Int(i64),
    /// A text: also a day, an instant, JSON.
    Text(String),
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(number.into())
    }
}

/// Databases count in signed numbers: what does not fit is as good as infinite.
impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One statement. Its text is written by this program alone: values are bound, never pasted.
#[derive(Clone, Debug)]
pub struct Statement {
    text: String,
    values: Vec<Value>,
    keep: bool,
}

/// A statement of this text, with `?` for each value.
pub fn sql(text: impl Into<String>) -> Statement {
    Statement { text: text.into(), values: Vec::new(), keep: true }
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

    /// `((?, ?), (?, ?))` with these values: the right side of an `in`. SQLite wants the word `values` in it.
    #[must_use]
    pub fn push_tuples<const N: usize>(
        mut self,
        dialect: Dialect,
        tuples: impl IntoIterator<Item = [Value; N]>,
    ) -> Self {
        let tuple = format!("({})", ["?"; N].join(", "));
        let mut between = match dialect {
            Dialect::Sqlite => "(values ",
            Dialect::MySql => "(",
        };
        for values in tuples {
            self.text.push_str(between);
            self.text.push_str(&tuple);
            self.values.extend(values);
            between = ", ";
        }
        self.text.push(')');
        self
    }

    /// `(?, ?)` with these values: the right side of an `in`.
    #[must_use]
    pub fn push_list(mut self, values: impl IntoIterator<Item = impl Into<Value>>) -> Self {
        let mut between = "(";
        for value in values {
            self.text.push_str(between);
            self.text.push('?');
            self.values.push(value.into());
            between = ", ";
        }
        self.text.push(')');
        self
    }

    /// Does not keep the prepared statement: its text will hardly come again.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.keep = false;
        self
    }
}

/// What runs a statement: a pool, or the connection of a transaction.
pub(super) trait Runs: Sized {
    async fn execute(self, statement: Statement) -> Result<u64, sqlx::Error>;
    /// The same with rows that the caller keeps.
    async fn execute_rows(self, text: String, rows: &[Vec<Value>]) -> Result<u64, sqlx::Error>;
    async fn fetch_all(self, statement: Statement) -> Result<Vec<Row>, sqlx::Error>;
}

macro_rules! bound {
    ($text:expr, $values:expr, $keep:expr, $database:ty) => {{
        let mut query = sqlx::query::<$database>(AssertSqlSafe($text)).persistent($keep);
        for value in $values {
            query = match value {
                Value::Null => query.bind(None::<&str>),
                Value::Int(number) => query.bind(*number),
                Value::Text(text) => query.bind(text.as_str()),
            };
        }
        query
    }};
}

macro_rules! runs {
    ($target:ty, $database:ty, $cell:ident) => {
        impl Runs for $target {
            async fn execute(self, statement: Statement) -> Result<u64, sqlx::Error> {
                let query = bound!(statement.text, &statement.values, statement.keep, $database);
                Ok(query.execute(self).await?.rows_affected())
            }

            async fn execute_rows(self, text: String, rows: &[Vec<Value>]) -> Result<u64, sqlx::Error> {
                let query = bound!(text, rows.iter().flatten(), true, $database);
                Ok(query.execute(self).await?.rows_affected())
            }

            async fn fetch_all(self, statement: Statement) -> Result<Vec<Row>, sqlx::Error> {
                let query = bound!(statement.text, &statement.values, statement.keep, $database);
                let rows = query.fetch_all(self).await?;
                rows.iter()
                    .map(|row| (0..row.len()).map(|i| $cell(row, i)).collect::<Result<_, _>>().map(Row))
                    .collect()
            }
        }
    };
}

runs!(&SqlitePool, Sqlite, sqlite_cell);
runs!(&mut SqliteConnection, Sqlite, sqlite_cell);
runs!(&MySqlPool, MySql, mysql_cell);
runs!(&mut MySqlConnection, MySql, mysql_cell);

fn sqlite_cell(row: &SqliteRow, index: usize) -> Result<Value, sqlx::Error> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    match raw.type_info().name() {
        "INTEGER" | "BOOLEAN" => row.try_get_unchecked(index).map(Value::Int),
        _ => row.try_get_unchecked(index).map(Value::Text),
    }
}

fn mysql_cell(row: &MySqlRow, index: usize) -> Result<Value, sqlx::Error> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let kind = raw.type_info().name().to_owned();
    if kind.contains("INT") && kind.contains("UNSIGNED") {
        return row.try_get_unchecked::<u64, _>(index).map(Value::from);
    }
    if kind.contains("INT") || kind == "BOOLEAN" {
        return row.try_get_unchecked(index).map(Value::Int);
    }
    row.try_get_unchecked(index).map(Value::Text)
}

/// One row, its cells in the order of the select list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row(Vec<Value>);

impl Row {
    /// Its cells.
    pub(super) fn values(&self) -> &[Value] {
        &self.0
    }

    /// Reads it from the first cell on.
    pub fn columns(self) -> Columns {
        Columns { cells: self.0.into_iter(), index: 0 }
    }
}

/// A cell does not hold what was expected: what was, and what was found.
pub type CellError = String;

/// Reads the cells of a row, one after the other.
#[derive(Debug)]
pub struct Columns {
    cells: std::vec::IntoIter<Value>,
    index: usize,
}

impl Columns {
    fn next(&mut self) -> Value {
        self.index += 1;
        self.cells.next().unwrap_or(Value::Null)
    }

    fn wrong(&self, expected: &str, found: &Value) -> CellError {
        format!("column {}: expected {expected}, found {found:?}", self.index)
    }

    /// A number.
    pub fn int(&mut self) -> Result<i64, CellError> {
        match self.next() {
            Value::Int(number) => Ok(number),
            other => Err(self.wrong("a number", &other)),
        }
    }

    /// A number that is not negative.
    pub fn count(&mut self) -> Result<u64, CellError> {
        let number = self.int()?;
        u64::try_from(number).map_err(|_| self.wrong("a count", &Value::Int(number)))
    }

    /// A number or nothing.
    pub fn optional_int(&mut self) -> Result<Option<i64>, CellError> {
        match self.next() {
            Value::Int(number) => Ok(Some(number)),
            Value::Null => Ok(None),
            other @ Value::Text(_) => Err(self.wrong("a number or nothing", &other)),
        }
    }

    /// A text.
    pub fn text(&mut self) -> Result<String, CellError> {
        match self.next() {
            Value::Text(text) => Ok(text),
            other => Err(self.wrong("a text", &other)),
        }
    }

    /// A text or nothing.
    pub fn optional_text(&mut self) -> Result<Option<String>, CellError> {
        match self.next() {
            Value::Text(text) => Ok(Some(text)),
            Value::Null => Ok(None),
            other @ Value::Int(_) => Err(self.wrong("a text or nothing", &other)),
        }
    }

    /// A text that is read as a `T`: a day, a word.
    pub fn parsed<T: std::str::FromStr>(&mut self) -> Result<T, CellError> {
        let text = self.text()?;
        text.parse().map_err(|_| self.wrong(std::any::type_name::<T>(), &Value::Text(text)))
    }

    /// The same, or nothing.
    pub fn optional_parsed<T: std::str::FromStr>(&mut self) -> Result<Option<T>, CellError> {
        let Some(text) = self.optional_text()? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| self.wrong(std::any::type_name::<T>(), &Value::Text(text)))
    }
}
