//! What is counted: events, the counts of subjects on days and over their life, and the days that a sync covers.

mod counts;
mod days;
mod event;
mod subject;

pub use counts::{Accumulated, DailyCount, Distribution, MAX_VALUES, PlanCounts, WINDOWS};
pub use days::{DayRange, Days};
pub use event::{EventType, StatisticsEvent};
pub use subject::{DailyKey, MAX_KEY, StatisticType, Subject, check_key};
