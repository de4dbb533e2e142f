//! The rows that a statement gives, read cell by cell.

use sqlx::mysql::MySqlRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, TypeInfo, ValueRef};

use super::value::Value;
use crate::domain::hex::hex;

/// One row, its cells in the order of the select list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row(Vec<Value>);

impl TryFrom<&SqliteRow> for Row {
    type Error = sqlx::Error;

    fn try_from(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        (0..row.len()).map(|index| sqlite_cell(row, index)).collect::<Result<_, _>>().map(Self)
    }
}

impl TryFrom<&MySqlRow> for Row {
    type Error = sqlx::Error;

    fn try_from(row: &MySqlRow) -> Result<Self, sqlx::Error> {
        (0..row.len()).map(|index| mysql_cell(row, index)).collect::<Result<_, _>>().map(Self)
    }
}

impl Row {
    /// Its cells.
    pub(super) fn values(&self) -> &[Value] {
        &self.0
    }

    /// Reads it from the first cell on.
    pub fn columns(self) -> Columns {
        Columns { cells: self.0.into_iter(), index: 0 }
    }

    /// Reads it with this function; what it cannot read is a [`sqlx::Error::Decode`].
    pub(super) fn read<T>(
        self,
        read: &mut impl FnMut(&mut Columns) -> Result<T, CellError>,
    ) -> Result<T, sqlx::Error> {
        read(&mut self.columns()).map_err(|found| sqlx::Error::Decode(found.into()))
    }
}

/// A row of a list: its ends, which say where in the list it stands, and what it says. One that another program wrote and
/// that cannot be read must not take the whole list with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListRow<T> {
    /// Its first cell, which is its id.
    pub first: Value,
    /// Its last cell.
    pub last: Value,
    /// What it says.
    pub read: Result<T, Unreadable>,
}

/// A row that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its first cell, which is its id.
    pub id: String,
    /// What was expected and what was found.
    pub reason: CellError,
}

/// Reads each row with this function.
pub(super) fn read_list<T>(
    rows: Vec<Row>,
    mut read: impl FnMut(&mut Columns) -> Result<T, CellError>,
) -> Vec<ListRow<T>> {
    let list_row = |row: Row| {
        let first = row.0.first().cloned().unwrap_or(Value::Null);
        let last = row.0.last().cloned().unwrap_or(Value::Null);
        let read = read(&mut row.columns()).map_err(|reason| {
            let id = match &first {
                Value::Int(id) => id.to_string(),
                Value::Text(id) => id.clone(),
                Value::Bytes(id) => hex(id),
                Value::Null => String::new(),
            };
            tracing::warn!(id, reason, "a row cannot be read");
            Unreadable { id, reason }
        });
        ListRow { first, last, read }
    };
    rows.into_iter().map(list_row).collect()
}

fn sqlite_cell(row: &SqliteRow, index: usize) -> Result<Value, sqlx::Error> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    match raw.type_info().name() {
        "INTEGER" | "BOOLEAN" => row.try_get_unchecked(index).map(Value::Int),
        "BLOB" => row.try_get_unchecked(index).map(Value::Bytes),
        _ => row.try_get_unchecked(index).map(Value::Text),
    }
}

fn mysql_cell(row: &MySqlRow, index: usize) -> Result<Value, sqlx::Error> {
    let raw = row.try_get_raw(index)?;
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let info = raw.type_info();
    let kind = info.name();
    if kind == "BINARY" {
        return row.try_get_unchecked(index).map(Value::Bytes);
    }
    if !kind.contains("INT") && kind != "BOOLEAN" {
        return row.try_get_unchecked(index).map(Value::Text);
    }
    if kind.contains("UNSIGNED") {
        // What does not fit is no number that this program could give back: the text is, and no id.
        let number = row.try_get_unchecked::<u64, _>(index)?;
        return Ok(i64::try_from(number).map_or_else(|_| Value::Text(number.to_string()), Value::Int));
    }
    row.try_get_unchecked(index).map(Value::Int)
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
            other @ (Value::Text(_) | Value::Bytes(_)) => Err(self.wrong("a number or nothing", &other)),
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
            other @ (Value::Int(_) | Value::Bytes(_)) => Err(self.wrong("a text or nothing", &other)),
        }
    }

    /// Sixteen bytes: an id.
    pub fn id(&mut self) -> Result<[u8; 16], CellError> {
        match self.next() {
            Value::Bytes(bytes) if bytes.len() == 16 => Ok(bytes.try_into().unwrap_or_default()),
            other => Err(self.wrong("sixteen bytes", &other)),
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
