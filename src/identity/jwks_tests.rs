//! The cache of remote keys, on a clock that is moved and a source that is scripted.

use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::SignedDuration;
use jsonwebtoken::Algorithm;
use serde_json::json;
use tokio::sync::Semaphore;

use super::super::fetch::FetchError;
use super::super::keys::SigningKey;
use super::*;
use crate::clock::Simulated;

/// Answers with what the test has put there, as often as the gate lets it.
struct Script {
    answer: Mutex<Result<String, FetchError>>,
    gate: Semaphore,
    fetches: AtomicUsize,
}

#[async_trait]
impl Fetch for Arc<Script> {
    async fn fetch(&self) -> Result<Vec<u8>, FetchError> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        self.answer.lock().unwrap().clone().map(String::into_bytes)
    }
}

struct Bench {
    script: Arc<Script>,
    clock: Arc<Simulated>,
    keys: RemoteKeys,
}

const FRESHNESS: Freshness = Freshness {
    refresh: Duration::from_secs(300),
    cooldown: Duration::from_secs(30),
    max_stale: Duration::from_secs(3600),
};

fn bench(answer: Result<String, FetchError>) -> Bench {
    let gate = Semaphore::new(Semaphore::MAX_PERMITS);
    let script = Arc::new(Script { answer: Mutex::new(answer), gate, fetches: AtomicUsize::new(0) });
    let clock = Simulated::new(Timestamp::from_second(1_000_000).unwrap());
    let keys = RemoteKeys::new(Arc::clone(&script), FRESHNESS, clock.clone());
    Bench { script, clock, keys }
}

/// A set with fresh keys of these ids.
#[expect(clippy::unnecessary_wraps, reason = "it is an answer of the script")]
fn set(kids: &[&str]) -> Result<String, FetchError> {
    let jwk = |kid: &&str| {
        let mut jwk = SigningKey::generate().unwrap().public();
        jwk["kid"] = json!(kid);
        jwk
    };
    Ok(json!({ "keys": kids.iter().map(jwk).collect::<Vec<_>>() }).to_string())
}

/// What a token of a usual key names; an empty id is none.
fn wanted(kid: &str) -> Wanted<'_> {
    Wanted { kid: (!kid.is_empty()).then_some(kid), algorithm: Algorithm::ES256 }
}

const DOWN: Result<String, FetchError> = Err(FetchError::Timeout);

impl Bench {
    fn fetches(&self) -> usize {
        self.script.fetches.load(Ordering::SeqCst)
    }

    fn answers(&self, answer: Result<String, FetchError>) {
        *self.script.answer.lock().unwrap() = answer;
    }

    fn pass(&self, seconds: i64) {
        self.clock.advance(SignedDuration::from_secs(seconds));
    }

    /// What the id gives, in one word.
    async fn find(&self, kid: &str) -> String {
        match self.keys.find(wanted(kid)).await {
            Lookup::Found { .. } => "found".to_owned(),
            Lookup::OtherAlgorithm => "other".to_owned(),
            Lookup::Unknown => "unknown".to_owned(),
            Lookup::Unavailable { retry_after } => format!("unavailable {retry_after:?}"),
        }
    }

    /// Waits for the fetch that goes on beside the requests.
    async fn landed(&self) {
        let flight = self.keys.shared.state().in_flight();
        if let Some(mut flight) = flight {
            drop(flight.changed().await);
        }
    }
}

#[tokio::test]
async fn any_number_of_first_requests_is_one_fetch_even_if_the_first_one_goes_away() {
    let b = bench(set(&["a"]));
    b.script.gate.forget_permits(Semaphore::MAX_PERMITS);
    {
        let mut gone = Box::pin(b.find("a"));
        assert!(
            std::future::poll_fn(|context| std::task::Poll::Ready(gone.as_mut().poll(context)))
                .await
                .is_pending()
        );
    }
    let requests: Vec<_> = (0..100)
        .map(|_| {
            let keys = b.keys.clone();
            tokio::spawn(async move { matches!(keys.find(wanted("a")).await, Lookup::Found { .. }) })
        })
        .collect();
    tokio::task::yield_now().await;
    b.script.gate.add_permits(1);
    for request in requests {
        assert!(request.await.unwrap());
    }
    assert_eq!(b.fetches(), 1);
}

#[tokio::test]
async fn an_unknown_id_causes_one_fetch_in_the_cool_down() {
    let b = bench(set(&["a"]));
    assert_eq!((b.find("a").await.as_str(), b.fetches()), ("found", 1));
    for _ in 0..5 {
        assert_eq!((b.find("x").await.as_str(), b.fetches()), ("unknown", 2));
    }
    b.answers(set(&["b"]));
    b.pass(29);
    assert_eq!((b.find("b").await.as_str(), b.fetches()), ("unknown", 2));
    b.pass(1);
    assert_eq!((b.find("b").await.as_str(), b.fetches()), ("found", 3), "a rotation is found");
    assert_eq!(
        (b.find("a").await.as_str(), b.fetches()),
        ("unknown", 3),
        "a key that was taken back is gone"
    );
}

#[tokio::test]
async fn a_newer_key_is_looked_for_once_in_the_cool_down_and_may_be_there_as_long_as_nobody_can_tell() {
    let b = bench(set(&[""]));
    let newer = async || match b.keys.find_newer(wanted("a")).await {
        Lookup::Found { keys, named } => format!("{} {named}", keys.len()),
        Lookup::Unavailable { .. } => "unavailable".to_owned(),
        lookup => format!("{lookup:?}"),
    };
    assert_eq!((b.find("a").await.as_str(), b.fetches()), ("found", 1), "it may be this one");
    b.answers(set(&["", ""]));
    for _ in 0..3 {
        assert_eq!((newer().await.as_str(), b.fetches()), ("2 false", 2));
    }
    b.pass(30);
    b.answers(DOWN);
    assert_eq!((newer().await.as_str(), b.fetches()), ("unavailable", 3));
    assert_eq!(b.find("a").await, "found", "those that are known still count");
    assert_eq!((newer().await.as_str(), b.fetches()), ("unavailable", 3));
}

#[tokio::test]
async fn old_keys_are_fetched_again_beside_the_request() {
    let b = bench(set(&["a"]));
    b.find("a").await;
    b.pass(299);
    assert_eq!((b.find("a").await.as_str(), b.fetches()), ("found", 1));
    b.pass(1);
    b.answers(set(&["b"]));
    assert_eq!(b.find("a").await, "found", "nobody waits for the refresh");
    b.landed().await;
    assert_eq!((b.find("b").await.as_str(), b.fetches()), ("found", 2));
}

#[tokio::test]
async fn keys_are_served_stale_until_the_limit_and_then_not_at_all() {
    let b = bench(set(&["a"]));
    b.find("a").await;
    b.answers(DOWN);
    b.pass(300);
    for expected in [2, 2] {
        assert_eq!(b.find("a").await, "found");
        b.landed().await;
        assert_eq!(b.fetches(), expected, "a failed refresh rests for the cool-down");
    }
    b.pass(10);
    assert_eq!(b.find("new").await, "unavailable 20s", "the id may be a new key");
    b.pass(20);
    assert_eq!(b.find("a").await, "found");
    b.landed().await;
    assert_eq!(b.fetches(), 3);
    b.pass(3269);
    assert_eq!(b.find("a").await, "found", "3599 s old");
    b.landed().await;
    b.pass(1);
    assert_eq!(b.find("a").await, "unavailable 1s", "3600 s old");
    b.pass(1);
    assert_eq!(b.find("a").await, "unavailable 2s");
    b.answers(set(&["a"]));
    b.pass(2);
    assert_eq!(b.find("a").await, "found");
}

#[tokio::test]
async fn without_any_key_the_iam_is_asked_again_soon() {
    let b = bench(DOWN);
    assert_eq!((b.find("a").await.as_str(), b.fetches()), ("unavailable 2s", 1));
    assert_eq!((b.find("a").await.as_str(), b.fetches()), ("unavailable 2s", 1));
    b.pass(1);
    assert_eq!((b.find("a").await.as_str(), b.fetches()), ("unavailable 1s", 1));
    b.pass(1);
    b.answers(set(&["a"]));
    assert_eq!((b.find("a").await.as_str(), b.fetches()), ("found", 2));
}

#[tokio::test]
async fn an_answer_without_keys_does_not_replace_those_that_work() {
    let b = bench(set(&["a"]));
    b.find("a").await;
    for (nth, answer) in
        ["", "<html>", r#"{"keys":[]}"#, r#"{"keys":[{"kty":"oct","kid":"a"}]}"#].iter().enumerate()
    {
        b.answers(Ok((*answer).to_owned()));
        b.pass(300);
        assert_eq!(b.find("a").await, "found");
        b.landed().await;
        assert_eq!((b.find("a").await.as_str(), b.fetches()), ("found", nth + 2), "{answer}");
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_makes_nothing_wait() {
    let b = bench(set(&["a"]));
    b.find("a").await;
    b.find("x").await;
    b.pass(-600);
    assert_eq!((b.find("x").await.as_str(), b.fetches()), ("unknown", 3));
}

#[tokio::test]
async fn warming_fetches_once() {
    let b = bench(set(&["a"]));
    b.keys.warm();
    b.keys.warm();
    assert_eq!((b.find("a").await.as_str(), b.fetches()), ("found", 1));
}
