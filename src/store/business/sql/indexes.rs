//! The indexes of plans and tasks on MySQL. Another program may have made these tables, with indexes of other names, or
//! none: what is missing is added, what says more than it should is taken away, what another program needs stays.

use crate::sql::{Columns, Tx, sql};

/// An index that a statement needs.
struct Index {
    table: &'static str,
    name: &'static str,
    unique: bool,
    columns: &'static [&'static str],
}

const fn index(table: &'static str, name: &'static str, columns: &'static [&'static str]) -> Index {
    Index { table, name, unique: false, columns }
}

/// As the migrations make them on SQLite. `InnoDB` too ends each with the id.
const INDEXES: [Index; 11] = [
    index("assessment_plan", "idx_assessment_plan_list", &["org_id", "deleted_at"]),
    index("assessment_plan", "idx_assessment_plan_status", &["org_id", "deleted_at", "status"]),
    index("assessment_plan", "idx_assessment_plan_scale", &["org_id", "deleted_at", "scale_code"]),
    index("assessment_task", "idx_assessment_task_plan", &["plan_id", "testee_id", "seq"]),
    index("assessment_task", "idx_assessment_task_overdue", &["org_id", "status", "expire_at"]),
    index("assessment_task", "idx_assessment_task_planned", &["org_id", "deleted_at", "planned_at"]),
    index("assessment_task", "idx_assessment_task_due", &["org_id", "deleted_at", "status", "planned_at"]),
    index(
        "assessment_task",
        "idx_assessment_task_plan_planned",
        &["org_id", "plan_id", "deleted_at", "planned_at"],
    ),
    index(
        "assessment_task",
        "idx_assessment_task_plan_status",
        &["org_id", "plan_id", "deleted_at", "status", "planned_at"],
    ),
    index(
        "assessment_task",
        "idx_assessment_task_testee",
        &["org_id", "testee_id", "deleted_at", "planned_at"],
    ),
    Index { table: "assessment_task", name: ASSESSMENT, unique: true, columns: &["org_id", "assessment_id"] },
];

/// An assessment belongs to one task of an organisation.
const ASSESSMENT: &str = "uk_assessment_task_assessment";

/// An index that an earlier version of this program made and nothing needs any more.
const SUPERSEDED: [(&str, &str); 1] = [("assessment_plan", "idx_assessment_plan_org")];

/// An index that a table has.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    name: String,
    unique: bool,
    columns: Vec<String>,
}

/// What one table needs.
pub(super) struct Wanted {
    /// Which table.
    pub(super) table: &'static str,
    /// The parts of an `alter table`: `drop index …`, `add index …`.
    pub(super) changes: Vec<String>,
}

impl Wanted {
    /// Leaves the rule out that rows break. Answers whether anything is left.
    pub(super) fn without_rule(&mut self) -> bool {
        self.changes.retain(|change| !change.contains(ASSESSMENT));
        !self.changes.is_empty()
    }
}

/// What the tables need; nothing, when they are as they should be.
pub(super) async fn wanted(tx: &mut Tx) -> Result<Vec<Wanted>, sqlx::Error> {
    let mut wanted = Vec::new();
    for table in ["assessment_plan", "assessment_task"] {
        let found = found(tx, table).await?;
        let changes = changes(table, &found);
        // A table that does not exist yet has no index at all, and is made with these.
        if !found.is_empty() && !changes.is_empty() {
            wanted.push(Wanted { table, changes });
        }
    }
    Ok(wanted)
}

/// An organisation and an assessment that several of its tasks have.
pub(super) async fn shared_assessment(tx: &mut Tx) -> Result<Option<[i64; 2]>, sqlx::Error> {
    let query = sql("select org_id, assessment_id from assessment_task where assessment_id is not null \
                     group by org_id, assessment_id having count(*) > 1 limit 1");
    tx.read_one(query, |columns| Ok([columns.int()?, columns.int()?])).await
}

async fn found(tx: &mut Tx, table: &str) -> Result<Vec<Found>, sqlx::Error> {
    let query = sql("select index_name, non_unique, lower(column_name) from information_schema.statistics \
                     where table_schema = database() and table_name = ? order by index_name, seq_in_index");
    let read = |columns: &mut Columns| Ok((columns.text()?, columns.int()? == 0, columns.optional_text()?));
    let mut indexes: Vec<Found> = Vec::new();
    for (name, unique, column) in tx.read_all(query.bind(table), read).await? {
        // An index of an expression has no column there.
        let column = column.unwrap_or_default();
        match indexes.last_mut().filter(|last| last.name == name) {
            Some(last) => last.columns.push(column),
            None => indexes.push(Found { name, unique, columns: vec![column] }),
        }
    }
    Ok(indexes)
}

fn changes(table: &str, found: &[Found]) -> Vec<String> {
    let mut changes = Vec::new();
    let mut drop = |name: &str| changes.push(format!("drop index `{name}`"));
    let outdated = |index: &&Found| {
        let other = |wanted: &Index| wanted.name == index.name && index.columns != wanted.columns;
        INDEXES.iter().any(other)
            || SUPERSEDED.contains(&(table, index.name.as_str()))
            // Of the system that this replaces, and of this program's first version: unique everywhere.
            || index.unique && index.columns == ["assessment_id"]
    };
    found.iter().filter(outdated).for_each(|index| drop(&index.name));
    for wanted in INDEXES.iter().filter(|wanted| wanted.table == table) {
        // Statements name an index where the database would not take it by itself; a rule needs no name.
        let there = |index: &Found| {
            index.columns == wanted.columns
                && if wanted.unique { index.unique } else { index.name == wanted.name }
        };
        if !found.iter().any(there) {
            let unique = if wanted.unique { "unique " } else { "" };
            changes.push(format!("add {unique}index {} ({})", wanted.name, wanted.columns.join(", ")));
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(name: &str, unique: bool, columns: &[&str]) -> Found {
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        Found { name: name.to_owned(), unique, columns }
    }

    #[test]
    fn what_is_missing_is_added_and_what_says_too_much_is_dropped() {
        let primary = || has("PRIMARY", true, &["id"]);
        let of_task = || INDEXES.iter().filter(|index| index.table == "assessment_task");
        assert_eq!(changes("assessment_task", &[primary()]).len(), of_task().count());
        let named = |before: &str| -> Vec<Found> {
            let of_task = of_task();
            let found = of_task.map(|index| {
                let name =
                    if index.unique { "their_rule".to_owned() } else { format!("{before}{}", index.name) };
                has(&name, index.unique, index.columns)
            });
            found.chain([primary()]).collect()
        };
        let others = changes("assessment_task", &named("their_"));
        assert_eq!(others.len(), of_task().count() - 1, "statements name an index; a rule needs no name");
        let mut right = named("");
        assert_eq!(changes("assessment_task", &right), Vec::<String>::new());
        right.push(has("uni_assessment_task_assessment_id", true, &["assessment_id"]));
        right.push(has("their_own", false, &["assessment_id"]));
        assert_eq!(changes("assessment_task", &right), ["drop index `uni_assessment_task_assessment_id`"]);
        let old = has("idx_assessment_plan_org", false, &["org_id", "id"]);
        assert_eq!(changes("assessment_plan", &[old])[0], "drop index `idx_assessment_plan_org`");
        let old = has("idx_assessment_task_testee", false, &["org_id", "testee_id"]);
        let changed = changes("assessment_task", &[old]);
        assert_eq!(changed[0], "drop index `idx_assessment_task_testee`");
        assert!(changed.iter().any(|change| change.starts_with("add index idx_assessment_task_testee (")));
    }
}
