//! Every statement that reads part of a list, with the index that it goes along: a test has both databases explain them.

use jiff::Timestamp;
use jiff::civil::Date;

use super::daily::rows_after;
use super::plan_tasks::{index_of, task_list, tasks_of_part};
use super::plans::{plan_list, plans_of_part};
use super::sync_runs::newest;
use crate::domain::plan::PlanStatus;
use crate::domain::plan_task::TaskStatus;
use crate::domain::statistics::{DailyKey, StatisticType, Subject};
use crate::domain::sync_run::SyncKind;
use crate::sql::{DatabaseKind, Statement};
use crate::store::business::lists::{Page, Part};
use crate::store::business::plans::{PlanFilter, TaskFilter, TaskMark};
use crate::store::business::{SyncFilter, SyncMark};

/// Half a second after 1970.
const BEFORE: Timestamp = Timestamp::constant(0, 500_000_000);

/// A statement, and what it reads.
#[derive(Clone, Debug)]
pub struct ListStatement {
    /// Which list, restricted to what.
    pub list: &'static str,
    /// The index that gives it its order. MySQL may prefer another one where that costs the same.
    pub index: &'static str,
    /// Twenty items, or how many there are.
    pub statement: Statement,
}

/// The statements of organisation 1, plan 1, testee 1: each list from its beginning, after an item in its middle, and its
/// length.
pub fn list_statements(kind: DatabaseKind) -> Vec<ListStatement> {
    let (mut statements, one) = (Vec::new(), Some(1));
    let pending = Some(TaskStatus::Pending);
    let none = TaskFilter::default();
    for (list, filter) in [
        ("tasks", none),
        ("tasks in a state", TaskFilter { status: pending, ..none }),
        ("tasks of a plan", TaskFilter { plan_id: one, ..none }),
        ("tasks of a plan in a state", TaskFilter { plan_id: one, status: pending, ..none }),
        ("tasks of a testee", TaskFilter { testee_id: one, ..none }),
    ] {
        let index = index_of(filter);
        let mark = TaskMark { planned_at: "2026-01-02 00:00:00.000".to_owned(), id: 3_000 };
        for part in parts(mark) {
            let of_part = tasks_of_part(kind, 1, filter, &part);
            statements.extend(of_part.into_iter().map(|statement| (list, index, statement)));
        }
        statements.push((list, index, task_list("select count(*) from assessment_task", 1, filter)));
    }
    let none = PlanFilter::default();
    let active = Some(PlanStatus::Active);
    for (list, index, filter) in [
        ("plans", "idx_assessment_plan_list", none.clone()),
        ("plans in a state", "idx_assessment_plan_status", PlanFilter { status: active, ..none.clone() }),
        (
            "plans of a scale",
            "idx_assessment_plan_scale",
            PlanFilter { scale_code: Some("PHQ9".into()), ..none },
        ),
    ] {
        for part in parts(500) {
            statements.push((list, index, plans_of_part(kind, 1, &filter, &part)));
        }
        statements.push((list, index, plan_list(kind, "select count(*)", 1, &filter)));
    }
    let mark = SyncMark { started_at: BEFORE, id: "500".to_owned() };
    for (list, index, kind_of_sync) in [
        ("syncs", "idx_qs_sync_run_org", None),
        ("syncs of a kind", "idx_qs_sync_run_kind", Some(SyncKind::Daily)),
    ] {
        let filter = SyncFilter { kind: kind_of_sync, before: None };
        statements.push((list, index, newest(kind, 1, &filter, None, 20)));
        statements.push((list, index, newest(kind, 1, &filter, Some(&mark), 20)));
        let filter = SyncFilter { before: Some(BEFORE), ..filter };
        statements.push((list, index, newest(kind, 1, &filter, None, 20)));
    }
    let subject = Subject { statistic: StatisticType::Testee, key: "500".to_owned() };
    let key = DailyKey { subject, date: Date::constant(2026, 1, 2) };
    statements.push(("daily rows", "uk_statistics_daily", rows_after(kind, 1, Some(key), 20)));
    statements.into_iter().map(|(list, index, statement)| ListStatement { list, index, statement }).collect()
}

fn parts<Mark>(mark: Mark) -> [Part<Mark>; 2] {
    [Part::Page(Page { number: 1, size: 20 }), Part::After { mark: Some(mark), size: 20 }]
}
