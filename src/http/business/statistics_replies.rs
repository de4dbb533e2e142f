//! What the replies about statistics hold.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::business::statistics::{QuestionnaireStatistics, SystemStatistics};
use crate::domain::statistics::{Accumulated, PlanCounts};

/// An organisation's numbers as of the last syncs.
#[derive(Serialize, ToSchema)]
pub(super) struct SystemReply {
    org_id: i64,
    questionnaire_count: i64,
    testee_count: i64,
    answer_sheet_count: i64,
    assessment_count: i64,
    assessment_status_distribution: StatusReply,
}

/// Assessments by what happened to them.
#[derive(Serialize, ToSchema)]
pub(super) struct StatusReply {
    submitted: i64,
    interpreted: i64,
}

/// A questionnaire's numbers as of the last syncs.
#[derive(Serialize, ToSchema)]
pub(super) struct QuestionnaireReply {
    org_id: i64,
    questionnaire_code: String,
    total_submissions: i64,
    total_completions: i64,
    /// Events `interpreted` for a hundred `submitted`, to two decimals; more than a hundred where more of them came.
    completion_rate: f64,
    last_7_days_count: i64,
    last_15_days_count: i64,
    last_30_days_count: i64,
    /// Submissions of each of the last days, zero included.
    daily_trend: Vec<DayReply>,
    origin_distribution: BTreeMap<String, i64>,
    risk_distribution: BTreeMap<String, i64>,
}

/// The count of a day.
#[derive(Serialize, ToSchema)]
pub(super) struct DayReply {
    #[schema(format = Date)]
    date: String,
    count: i64,
}

/// A person's numbers as of the last syncs.
#[derive(Serialize, ToSchema)]
pub(super) struct TesteeReply {
    org_id: i64,
    testee_id: String,
    total_assessments: i64,
    completed_assessments: i64,
    pending_assessments: i64,
    risk_distribution: BTreeMap<String, i64>,
    #[schema(required, format = Date)]
    first_assessment_date: Option<String>,
    #[schema(required, format = Date)]
    last_assessment_date: Option<String>,
}

/// The numbers of a plan's tasks as of the last sync.
#[derive(Serialize, ToSchema)]
pub(super) struct PlanStatisticsReply {
    org_id: i64,
    plan_id: String,
    /// Every task that was made, canceled ones included.
    total_tasks: i64,
    completed_tasks: i64,
    pending_tasks: i64,
    expired_tasks: i64,
    /// Completed tasks of a hundred, those among them that were canceled; to two decimals.
    completion_rate: f64,
    enrolled_testees: i64,
    active_testees: i64,
}

impl SystemReply {
    pub(super) fn new(org_id: i64, system: &SystemStatistics) -> Self {
        Self {
            org_id,
            questionnaire_count: system.questionnaires,
            testee_count: system.testees,
            answer_sheet_count: system.submissions,
            assessment_count: system.submissions,
            assessment_status_distribution: StatusReply {
                submitted: system.submissions,
                interpreted: system.completions,
            },
        }
    }
}

impl QuestionnaireReply {
    pub(super) fn new(org_id: i64, code: String, found: QuestionnaireStatistics) -> Self {
        let total = found.total;
        let day = |(date, count): (jiff::civil::Date, i64)| DayReply { date: date.to_string(), count };
        Self {
            org_id,
            questionnaire_code: code,
            total_submissions: total.total_submissions,
            total_completions: total.total_completions,
            completion_rate: percent(total.total_completions, total.total_submissions),
            last_7_days_count: total.last_days[0],
            last_15_days_count: total.last_days[1],
            last_30_days_count: total.last_days[2],
            daily_trend: found.trend.into_iter().map(day).collect(),
            origin_distribution: total.distribution.origin,
            risk_distribution: total.distribution.risk,
        }
    }
}

impl TesteeReply {
    pub(super) fn new(org_id: i64, testee_id: String, total: Accumulated) -> Self {
        Self {
            org_id,
            testee_id,
            total_assessments: total.total_submissions,
            completed_assessments: total.total_completions,
            pending_assessments: (total.total_submissions - total.total_completions).max(0),
            risk_distribution: total.distribution.risk,
            first_assessment_date: total.occurred.map(|days| days.start.to_string()),
            last_assessment_date: total.occurred.map(|days| days.end.to_string()),
        }
    }
}

impl PlanStatisticsReply {
    pub(super) fn new(org_id: i64, plan_id: String, counts: &PlanCounts) -> Self {
        Self {
            org_id,
            plan_id,
            total_tasks: counts.total_tasks,
            completed_tasks: counts.completed_tasks,
            pending_tasks: counts.pending_tasks,
            expired_tasks: counts.expired_tasks,
            completion_rate: percent(counts.completed_tasks, counts.total_tasks),
            enrolled_testees: counts.enrolled_testees,
            active_testees: counts.active_testees,
        }
    }
}

/// Of a hundred, to two decimals; 0 when there is nothing.
#[expect(clippy::cast_precision_loss, reason = "two decimals of a ratio need no more")]
fn percent(part: i64, whole: i64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64 * 10_000.0).round() / 100.0 }
}
