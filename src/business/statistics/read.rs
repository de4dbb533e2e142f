//! The reading side: what the syncs have produced.

use std::collections::BTreeMap;

use jiff::ToSpan;
use jiff::civil::Date;

use super::{Statistics, StatisticsError};
use crate::domain::invalid::Invalid;
use crate::domain::statistics::{
    Accumulated, DayRange, MAX_KEY, PlanCounts, StatisticType, Subject, check_key,
};

/// Days of a trend.
const TREND: i64 = 30;

/// Of an organisation, as of the last syncs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemStatistics {
    /// Questionnaires with a count.
    pub questionnaires: i64,
    /// Persons with a count.
    pub testees: i64,
    /// Answer sheets that were submitted.
    pub submissions: i64,
    /// Assessments that were interpreted.
    pub completions: i64,
}

/// Of one questionnaire, as of the last syncs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuestionnaireStatistics {
    /// Its totals and windows.
    pub total: Accumulated,
    /// Submissions of each of the last days, zero included.
    pub trend: Vec<(Date, i64)>,
}

impl Statistics {
    /// An organisation's; all zero before the first sync.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn system(&self, org_id: i64) -> Result<SystemStatistics, StatisticsError> {
        let sum = |statistic| self.context.store.accumulated_sum(org_id, statistic);
        let [questionnaires, submissions, completions] = sum(StatisticType::Questionnaire).await?;
        let [testees, ..] = sum(StatisticType::Testee).await?;
        Ok(SystemStatistics { questionnaires, testees, submissions, completions })
    }

    /// A questionnaire's, if anything was ever synced for it.
    ///
    /// # Errors
    /// When no questionnaire can have this code, or the store does not answer.
    pub async fn questionnaire(
        &self,
        org_id: i64,
        code: &str,
    ) -> Result<Option<QuestionnaireStatistics>, StatisticsError> {
        let subject = subject(StatisticType::Questionnaire, "code", code)?;
        let end = self.context.today();
        let start = end.checked_sub((TREND - 1).days()).unwrap_or(end);
        let found = self.context.store.accumulated_by_day(org_id, &subject, DayRange { start, end }).await?;
        let Some((total, by_day)) = found else { return Ok(None) };
        let counts: BTreeMap<Date, i64> = by_day.into_iter().collect();
        let days = start.series(1.day()).take_while(|day| *day <= end);
        let trend = days.map(|day| (day, counts.get(&day).copied().unwrap_or(0))).collect();
        Ok(Some(QuestionnaireStatistics { total, trend }))
    }

    /// A person's totals, if anything was ever synced for it.
    ///
    /// # Errors
    /// When no person can have this id, or the store does not answer.
    pub async fn testee(&self, org_id: i64, id: &str) -> Result<Option<Accumulated>, StatisticsError> {
        let subject = subject(StatisticType::Testee, "id", id)?;
        self.total(org_id, &subject).await
    }

    /// A plan's, if it was ever synced.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn plan(&self, org_id: i64, plan_id: i64) -> Result<Option<PlanCounts>, StatisticsError> {
        let rows = self.context.store.plans_of(org_id, &[plan_id]).await?;
        Ok(rows.into_iter().next())
    }

    async fn total(&self, org_id: i64, subject: &Subject) -> Result<Option<Accumulated>, StatisticsError> {
        let subjects = std::slice::from_ref(subject);
        let rows = self.context.store.accumulated_of(org_id, subjects).await?;
        Ok(rows.into_iter().next())
    }
}

/// What is looked for. Databases differ in whether they overlook a space at the end, so what cannot have been counted is
/// not looked for.
fn subject(statistic: StatisticType, field: &'static str, key: &str) -> Result<Subject, Invalid> {
    check_key(key, MAX_KEY).map_err(|reason| Invalid::new(field, reason))?;
    Ok(Subject { statistic, key: key.to_owned() })
}
