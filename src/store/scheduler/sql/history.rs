//! What people look at.

use async_trait::async_trait;

use super::SqlLedger;
use super::columns::{execution, instant, list_of};
use crate::domain::catch_up::Missed;
use crate::domain::execution::{Execution, ExecutionState};
use crate::sql::sql;
use crate::store::error::{Answer, named};
use crate::store::scheduler::{ExecutionFilter, History, Listed, MissedRow};

#[async_trait]
impl History for SqlLedger {
    async fn executions(&self, filter: &ExecutionFilter) -> Answer<Vec<Listed<Execution>>> {
        let query = sql(format!(
            "select t.name, {} from qs_execution e join qs_task t on t.id = e.task_id where true",
            list_of("e")
        ))
        .push_some(" and t.name = ?", filter.task.as_deref())
        .push_some(" and e.state = ?", filter.state.map(ExecutionState::as_str))
        .push(" order by e.id desc")
        .push_some(" limit ?", filter.limit);
        let read = self.db.read_all(query, |row| Ok(Listed { task: row.text()?, row: execution(row)? }));
        named("executions", read).await
    }

    async fn missed(&self) -> Answer<Vec<Listed<MissedRow>>> {
        let query = sql("select t.name, m.task_id, m.revision, m.from_at, m.to_at, m.count, m.reason \
             from qs_missed m join qs_task t on t.id = m.task_id order by m.from_at desc, m.task_id");
        let read = self.db.read_all(query, |row| {
            let task = row.text()?;
            let (task_id, revision) = (row.int()?, row.int()?);
            let (from, to, count) = (instant(row)?, instant(row)?, row.count()?);
            let missed = Missed { from, to, count, reason: row.parsed()? };
            Ok(Listed { task, row: MissedRow { task_id, revision, missed } })
        });
        named("missed", read).await
    }
}
