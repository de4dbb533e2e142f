//! The suite: what a program may rely on, whatever is below the port.

use std::collections::BTreeSet;

use qs_scheduler::counters::{Counted, Counter, Counters, Mark};
use qs_scheduler::domain::statistics::{
    DailyCount, DailyKey, DayRange, Days, Distribution, EventType, MAX_VALUES, StatisticsEvent,
};

use super::{PARTS, all, at, day, key, submitted};
use crate::support::counting::CountOne;

fn numbers(counter: &Counter) -> (i64, i64) {
    (counter.count.submissions, counter.count.completions)
}

/// The whole suite, on this and the following organisations. No page is asked for fewer counters than `few`: a server with
/// a million keys of others would have a million pages.
pub(super) async fn conform(counters: &dyn Counters, org_id: i64, few: u32) {
    counters.ready().await.unwrap();
    counts_once(counters, org_id, org_id + 1, few).await;
    keeps_any_key(counters, org_id + 2, few).await;
    keeps_distributions(counters, org_id + 3, few).await;
    remembers_days(counters, org_id + 4).await;
    pages_to_the_end(counters, org_id + 5, few).await;
    finds_in_order(counters, org_id + 6).await;
    restores_once(counters, org_id + 7, few).await;
    counts_many_at_once(counters, org_id + 8).await;
    bounds_the_values_of_a_counter(counters, org_id + 9).await;
    let organisations = counters.organisations().await.unwrap();
    for org_id in org_id..org_id + PARTS {
        assert!(organisations.contains(&org_id), "{org_id} is missing");
    }
    assert!(!organisations.contains(&(org_id + PARTS)), "nobody counted for it");
}

async fn counts_once(counters: &dyn Counters, org_id: i64, other: i64, few: u32) {
    assert_eq!(counters.mark(org_id).await.unwrap().revision, 0);
    let event = submitted("e:1", "2026-01-01", &["a", "b"]);
    assert!(counters.count_one(org_id, &event, at(1)).await.unwrap());
    assert!(!counters.count_one(org_id, &event, at(2)).await.unwrap(), "an id counts once");
    assert!(counters.count_one(other, &event, at(2)).await.unwrap(), "in each organisation");
    let interpreted =
        StatisticsEvent { event_type: EventType::Interpreted, ..submitted("e2", "2026-01-01", &["a"]) };
    assert!(counters.count_one(org_id, &interpreted, at(3)).await.unwrap());

    let found = all(counters, org_id, &Days::All, few.max(10)).await;
    assert_eq!(found.len(), 2);
    let (a, b) = (&found[&key("2026-01-01", "a")], &found[&key("2026-01-01", "b")]);
    assert_eq!((numbers(a), a.revision), ((1, 1), Some(2)));
    assert_eq!((numbers(b), b.revision), ((1, 0), Some(1)));
    assert_eq!(all(counters, other, &Days::All, few.max(10)).await.len(), 2);

    let same = submitted("same", "2026-01-02", &["a"]);
    let same = || counters.count_one(org_id, &same, at(4));
    let new = tokio::join!(same(), same(), same(), same());
    let new = [new.0.unwrap(), new.1.unwrap(), new.2.unwrap(), new.3.unwrap()];
    assert_eq!(new.iter().filter(|new| **new).count(), 1, "of those that come at once, one counts");
    let mark = counters.mark(org_id).await.unwrap();
    assert_eq!((mark.revision, mark.to_string().parse()), (3, Ok(mark.clone())));
}

async fn keeps_any_key(counters: &dyn Counters, org_id: i64, few: u32) {
    let (long, wide) = ("x".repeat(255), "问".repeat(255));
    let odd = ["a:b", ":", "a:2026-01-01", "*", "k?[a-z]\\", "%_'\"", "问卷 1", "{tag}", "two\nlines"];
    let keys = [&odd[..], &[&long, &wide]].concat();
    assert!(counters.count_one(org_id, &submitted("k", "2026-01-01", &keys), at(1)).await.unwrap());
    let expected: BTreeSet<DailyKey> = keys.iter().map(|text| key("2026-01-01", text)).collect();
    let found = all(counters, org_id, &Days::All, few.max(3)).await;
    assert_eq!(found.into_keys().collect::<BTreeSet<_>>(), expected);
    let asked: Vec<DailyKey> = expected.into_iter().collect();
    let found = counters.find(org_id, &asked).await.unwrap();
    assert!(found.iter().zip(&asked).all(|(found, key)| found.as_ref().unwrap().count.key == *key));
}

async fn keeps_distributions(counters: &dyn Counters, org_id: i64, few: u32) {
    for (id, event_type, value) in [
        ("d1", EventType::Submitted, "adhoc"),
        ("d2", EventType::Submitted, "plan"),
        ("d3", EventType::Submitted, "adhoc"),
        ("d4", EventType::Interpreted, "high"),
    ] {
        let (origin, risk_level) = match event_type {
            EventType::Submitted => (Some(value.to_owned()), None),
            EventType::Interpreted => (None, Some(value.to_owned())),
        };
        let event = StatisticsEvent { event_type, origin, risk_level, ..submitted(id, "2026-01-01", &["a"]) };
        assert!(counters.count_one(org_id, &event, at(1)).await.unwrap());
    }
    let found = all(counters, org_id, &Days::All, few.max(10)).await;
    let counter = &found[&key("2026-01-01", "a")];
    assert_eq!(numbers(counter), (3, 1));
    let origin = [("adhoc".to_owned(), 2), ("plan".to_owned(), 1)].into();
    let risk = [("high".to_owned(), 1)].into();
    assert_eq!(counter.count.distribution, Distribution { origin, risk });
}

async fn remembers_days(counters: &dyn Counters, org_id: i64) {
    let days = |list: &[&str]| list.iter().map(|text| day(text)).collect::<BTreeSet<_>>();
    let before = counters.touched(org_id, None).await.unwrap();
    assert_eq!((before.days.len(), before.mark.revision), (0, 0));
    for (id, date) in [("t1", "2026-01-01"), ("t2", "2026-01-02"), ("t3", "2026-01-01")] {
        counters.count_one(org_id, &submitted(id, date, &["a"]), at(1)).await.unwrap();
    }
    let touched = counters.touched(org_id, Some(&before.mark)).await.unwrap();
    assert_eq!(touched.days, days(&["2026-01-01", "2026-01-02"]));
    assert_eq!(touched.mark, counters.mark(org_id).await.unwrap());
    let nothing = counters.touched(org_id, Some(&touched.mark)).await.unwrap();
    assert!(nothing.days.is_empty() && nothing.mark == touched.mark, "{nothing:?}");

    counters.count_one(org_id, &submitted("t4", "2025-06-01", &["a"]), at(4)).await.unwrap();
    let later = counters.touched(org_id, Some(&touched.mark)).await.unwrap();
    assert_eq!((later.days, later.mark.revision), (days(&["2025-06-01"]), 4));
    assert_eq!(later.mark.generation, touched.mark.generation);

    let everything = days(&["2025-06-01", "2026-01-01", "2026-01-02"]);
    let other = Mark { generation: "another".to_owned(), revision: 4 };
    assert_eq!(
        counters.touched(org_id, Some(&other)).await.unwrap().days,
        everything,
        "it is as good as none"
    );
    assert_eq!(counters.touched(org_id, None).await.unwrap().days, everything);
}

async fn pages_to_the_end(counters: &dyn Counters, org_id: i64, few: u32) {
    let mut date = day("2026-12-25");
    let mut expected = BTreeSet::new();
    for number in 0..60 {
        let (date_text, name) = (date.to_string(), format!("k{number:02}"));
        counters.count_one(org_id, &submitted(&name, &date_text, &[&name, "all"]), at(1)).await.unwrap();
        expected.extend([key(&date_text, &name), key(&date_text, "all")]);
        if number % 5 == 4 {
            date = date.tomorrow().unwrap();
        }
    }
    let range = |start, end| DayRange { start: day(start), end: day(end) };
    for days in [
        Days::All,
        Days::Ranges(Vec::new()),
        Days::Ranges(vec![range("2026-12-26", "2026-12-26")]),
        Days::Ranges(vec![range("2026-12-01", "2026-12-27"), range("2026-12-30", "2027-01-02")]),
        Days::Ranges(vec![
            range("2020-01-01", "2026-12-24"),
            range("2026-12-26", "2026-12-27"),
            range("2026-12-29", "2026-12-29"),
            range("2027-01-05", "2027-12-31"),
        ]),
        Days::Ranges(vec![range("2027-01-06", "2027-01-31")]),
    ] {
        let inside: BTreeSet<_> = expected.iter().filter(|key| days.contains(key.date)).cloned().collect();
        for limit in [1, 7, 1_000] {
            let found = all(counters, org_id, &days, few.max(limit)).await;
            assert_eq!(found.into_keys().collect::<BTreeSet<_>>(), inside, "{days:?} by {limit}");
        }
    }
}

async fn finds_in_order(counters: &dyn Counters, org_id: i64) {
    let names: Vec<String> = (0..1_200).map(|number| format!("f{number}")).collect();
    for chunk in names.chunks(400) {
        let keys: Vec<&str> = chunk.iter().map(String::as_str).collect();
        counters.count_one(org_id, &submitted(keys[0], "2026-01-01", &keys), at(1)).await.unwrap();
    }
    let mut asked: Vec<DailyKey> = names.iter().rev().map(|name| key("2026-01-01", name)).collect();
    asked.insert(700, key("2026-01-02", "f1"));
    asked.insert(3, key("2026-01-01", "none"));
    let found = counters.find(org_id, &asked).await.unwrap();
    assert_eq!(found.len(), asked.len());
    for (at, (asked, found)) in asked.iter().zip(&found).enumerate() {
        match found {
            Some(found) => assert_eq!((&found.count.key, numbers(found)), (asked, (1, 0))),
            None => assert!(at == 3 || at == 701, "{asked} is at {at}"),
        }
    }
    assert_eq!(found.iter().filter(|found| found.is_none()).count(), 2);
    assert_eq!(counters.find(org_id, &[]).await.unwrap(), []);
}

async fn restores_once(counters: &dyn Counters, org_id: i64, few: u32) {
    let event = StatisticsEvent { origin: Some("adhoc".to_owned()), ..submitted("r1", "2026-01-01", &["a"]) };
    counters.count_one(org_id, &event, at(1)).await.unwrap();
    let known = |name: &str, date: &str, submissions, completions| DailyCount {
        key: key(date, name),
        submissions,
        completions,
        distribution: Distribution {
            origin: [("adhoc".to_owned(), submissions)].into(),
            ..Distribution::default()
        },
    };
    let before = counters.touched(org_id, None).await.unwrap();
    let mut lost = vec![known("a", "2026-01-01", 5, 2), known("a:*", "2025-01-01", 0, 7)];
    assert_eq!(counters.restore(org_id, &lost, None).await.unwrap(), 2);
    assert_eq!(counters.restore(org_id, &lost, None).await.unwrap(), 0, "each once");
    lost.push(known("c", "2026-01-01", 1, 0));
    assert_eq!(counters.restore(org_id, &lost, None).await.unwrap(), 1, "the new one");
    assert_eq!(counters.restore(org_id, &[], None).await.unwrap(), 0);
    let behind = [known("c", "2026-01-01", 2, 0)];
    assert_eq!(counters.restore(org_id, &behind, Some("one")).await.unwrap(), 1, "another repair");
    assert_eq!(counters.restore(org_id, &behind, Some("one")).await.unwrap(), 0, "once in each repair");
    assert_eq!(counters.touched(org_id, None).await.unwrap(), before, "nothing happened on these days");

    let found = all(counters, org_id, &Days::All, few.max(10)).await;
    let a = &found[&key("2026-01-01", "a")];
    assert_eq!((numbers(a), a.revision), ((6, 2), Some(1)), "on top of what was counted");
    assert_eq!(a.count.distribution.origin, [("adhoc".to_owned(), 6)].into());
    let old = &found[&key("2025-01-01", "a:*")];
    assert_eq!((numbers(old), old.revision), ((0, 7), Some(0)));
    counters.count_one(org_id, &submitted("r2", "2026-01-01", &["c"]), at(2)).await.unwrap();
    let found = counters.find(org_id, &[key("2026-01-01", "c")]).await.unwrap();
    assert_eq!(
        found[0].as_ref().map(|counter| (numbers(counter), counter.revision)),
        Some(((4, 0), Some(2)))
    );

    let many: Vec<DailyCount> =
        (0..450).map(|number| known(&format!("m{number}"), "2024-02-29", number, 0)).collect();
    assert_eq!(counters.restore(org_id, &many, None).await.unwrap(), 450, "more than one call holds");
    assert_eq!(counters.restore(org_id, &many, None).await.unwrap(), 0);
}

/// What became of these events.
async fn outcomes(counters: &dyn Counters, org_id: i64, events: &[StatisticsEvent]) -> Vec<Counted> {
    let outcomes = counters.count(org_id, events.to_vec(), at(1)).await;
    assert_eq!(outcomes.len(), events.len());
    outcomes.into_iter().map(Result::unwrap).collect()
}

async fn counts_many_at_once(counters: &dyn Counters, org_id: i64) {
    use Counted::{Before, New};
    assert_eq!(outcomes(counters, org_id, &[]).await, []);
    let events = [
        submitted("m1", "2026-01-01", &["a", "b"]),
        submitted("m2", "2026-01-01", &["a"]),
        submitted("m1", "2026-01-01", &["c"]),
        submitted("m3", "2025-12-31", &["a"]),
    ];
    assert_eq!(outcomes(counters, org_id, &events).await, [New, New, Before, New], "an id counts once");
    assert_eq!(outcomes(counters, org_id, &events).await, [Before, Before, Before, Before], "a repetition");
    let keys = [("2026-01-01", "a"), ("2026-01-01", "b"), ("2026-01-01", "c"), ("2025-12-31", "a")];
    let keys = keys.map(|(date, name)| key(date, name));
    let found = counters.find(org_id, &keys).await.unwrap();
    let found: Vec<_> =
        found.iter().map(|found| found.as_ref().map(|found| (numbers(found).0, found.revision))).collect();
    assert_eq!(found, [Some((2, Some(2))), Some((1, Some(1))), None, Some((1, Some(3)))]);
    let touched = counters.touched(org_id, None).await.unwrap();
    assert_eq!((touched.mark.revision, touched.days.len()), (3, 2));

    // More than any adapter does in one step; and batches that come at once share ids.
    let batch = |ids: std::ops::Range<usize>| {
        let event = |id: usize| submitted(&format!("n{id}"), "2026-01-02", &["all", &format!("k{}", id % 7)]);
        ids.map(event).collect::<Vec<_>>()
    };
    let batches = [batch(0..1_500), batch(750..2_000), batch(0..2_000), batch(1_999..2_001)];
    let [one, two, three, four] = batches.each_ref().map(|batch| outcomes(counters, org_id, batch));
    let (one, two, three, four) = tokio::join!(one, two, three, four);
    let new = [one, two, three, four].concat().into_iter().filter(|outcome| *outcome == New).count();
    assert_eq!(new, 2_001, "each id once");
    let found = counters.find(org_id, &[key("2026-01-02", "all"), key("2026-01-02", "k6")]).await.unwrap();
    let found: Vec<_> = found.iter().flatten().map(|found| numbers(found).0).collect();
    assert_eq!(found, [2_001, 285]);
    assert_eq!(counters.mark(org_id).await.unwrap().revision, 3 + 2_001);
}

async fn bounds_the_values_of_a_counter(counters: &dyn Counters, org_id: i64) {
    use Counted::{Full, New};
    let event = |number: usize, names: &[&str]| StatisticsEvent {
        origin: Some(format!("o{number}")),
        ..submitted(&format!("v{number}"), "2026-01-01", names)
    };
    let full = || Full(key("2026-01-01", "a"));
    let known_values: Vec<_> = (0..MAX_VALUES).map(|number| event(number, &["a"])).collect();
    assert!(outcomes(counters, org_id, &known_values).await.iter().all(|outcome| *outcome == New));
    let known = StatisticsEvent { origin: Some("o0".to_owned()), ..submitted("known", "2026-01-01", &["a"]) };
    let risk = StatisticsEvent {
        event_type: EventType::Interpreted,
        risk_level: Some("high".to_owned()),
        ..submitted("risk", "2026-01-01", &["a"])
    };
    let events =
        [event(64, &["a"]), known, event(65, &["b", "a"]), risk, submitted("none", "2026-01-01", &["a"])];
    assert_eq!(outcomes(counters, org_id, &events).await, [full(), New, full(), New, New]);
    assert_eq!(outcomes(counters, org_id, &events[..1]).await, [full()], "it was not remembered");
    let again = StatisticsEvent { origin: Some("o1".to_owned()), ..events[0].clone() };
    assert_eq!(outcomes(counters, org_id, &[again]).await, [New], "with another origin it counts");
    let found = counters.find(org_id, &[key("2026-01-01", "a"), key("2026-01-01", "b")]).await.unwrap();
    assert_eq!(found[1], None, "nothing of a refused event is counted");
    let found = found[0].as_ref().unwrap();
    assert_eq!((numbers(found), found.count.distribution.origin.len()), ((67, 1), MAX_VALUES));
    assert_eq!(counters.mark(org_id).await.unwrap().revision, 68);

    // What was lost comes back whole, and is counted on.
    let origin = (60..70).map(|number| (format!("o{number}"), 1)).collect();
    let distribution = Distribution { origin, ..Distribution::default() };
    let key = key("2026-01-01", "a");
    let lost = DailyCount { key: key.clone(), submissions: 10, completions: 0, distribution };
    assert_eq!(counters.restore(org_id, &[lost], None).await.unwrap(), 1);
    assert_eq!(outcomes(counters, org_id, &[event(69, &["a"]), event(70, &["a"])]).await, [New, full()]);
    let found = counters.find(org_id, &[key]).await.unwrap();
    assert_eq!(found[0].as_ref().unwrap().count.distribution.origin.len(), 70);
}
