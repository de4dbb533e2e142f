//! The server is killed under a load of single and of batched events: what it has acknowledged is counted once, and what
//! it has not is counted once when it is sent again under its id.
//!
//! Three kills; thirty when `QS_TEST_REQUIRE` names `kills`. A kill is aimed by what was acknowledged, not by time.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use qs_scheduler::secret::Secret;
use qs_scheduler::sql::{Address, Db, sql};
use reqwest::Client;
use serde_json::{Value, json};

use crate::support::apiserver::{ACCOUNT, Server, http_client};
use crate::support::databases::required;
use crate::support::services::PrivateRedis;
use crate::support::wait::until;

const EVENTS: &str = "/api/v1/statistics/events";

/// Connections, and the events of each of their requests.
const SENDERS: [usize; 8] = [1, 1, 1, 1, 1, 1, 40, 200];

fn kills() -> u32 {
    if required("kills") { 30 } else { 3 }
}

/// What the senders know of their events.
#[derive(Default)]
struct Known {
    acknowledged: Mutex<Vec<String>>,
    unanswered: Mutex<Vec<String>>,
    number: AtomicU64,
}

fn body(ids: &[String]) -> String {
    let event = |id: &String| {
        json!({
            "event_id": id, "type": "submitted", "questionnaire_code": "load", "testee_id": id, "origin": "plan",
            "occurred_at": "2026-01-05T12:00:00Z",
        })
    };
    match ids {
        [id] => event(id).to_string(),
        ids => ids.iter().map(event).collect::<Value>().to_string(),
    }
}

/// Sends events; how many are new, or none when there was no answer.
async fn send(client: &Client, base: &str, token: &str, ids: &[String]) -> Option<u64> {
    let request = client.post(format!("{base}{EVENTS}")).bearer_auth(token).body(body(ids));
    let reply = request.send().await.ok()?;
    let (status, text) = (reply.status(), reply.text().await.ok()?);
    assert!(status.is_success(), "{status}: {text}");
    let reply: Value = serde_json::from_str(&text).unwrap();
    Some(match &reply["data"]["counted"] {
        Value::Bool(counted) => u64::from(*counted),
        counted => counted.as_u64().unwrap(),
    })
}

async fn sender(base: String, token: String, name: String, size: usize, known: Arc<Known>) {
    let client = http_client();
    for number in 0.. {
        let ids: Vec<String> = (0..size).map(|place| format!("{name}-{number}-{place}")).collect();
        let Some(counted) = send(&client, &base, &token, &ids).await else {
            known.unanswered.lock().unwrap().extend(ids);
            return;
        };
        assert_eq!(counted, ids.len() as u64, "new ids are counted");
        known.number.fetch_add(counted, Ordering::Relaxed);
        known.acknowledged.lock().unwrap().extend(ids);
    }
}

/// Kills the server again and again. `total` reads the counter of all events.
async fn survives(env: &[(&str, &str)], total: impl AsyncFn(&std::path::Path) -> u64) {
    let env = [&ACCOUNT, env].concat();
    let mut server = Server::start(&env);
    let (mut acknowledged, mut unanswered, mut counted_unanswered) = (0, 0, 0);
    for kill in 1..=kills() {
        let token = server.token().await;
        let known = Arc::new(Known::default());
        let tasks: Vec<_> = (0..)
            .zip(SENDERS)
            .map(|(place, size)| {
                let name = format!("{kill}-{place}");
                tokio::spawn(sender(server.base.clone(), token.clone(), name, size, Arc::clone(&known)))
            })
            .collect();
        let enough = fastrand::u64(200..2_000);
        until("enough events are acknowledged", async || {
            (known.number.load(Ordering::Relaxed) >= enough).then_some(())
        })
        .await;
        server.kill();
        for task in tasks {
            task.await.unwrap();
        }
        let dir = server.take_dir();
        let path = dir.path().to_owned();
        server = Server::start_in(dir, &env);
        let sure = std::mem::take(&mut *known.acknowledged.lock().unwrap());
        let open = std::mem::take(&mut *known.unanswered.lock().unwrap());
        let before = acknowledged + unanswered;
        acknowledged += sure.len() as u64;
        unanswered += open.len() as u64;
        let found = total(&path).await;
        let (least, most) = (before + sure.len() as u64, acknowledged + unanswered);
        assert!((least..=most).contains(&found), "kill {kill}: {found} of {least} to {most}");

        let (client, token) = (http_client(), server.token().await);
        let mut new = 0;
        for ids in open.chunks(100) {
            new += send(&client, &server.base, &token, ids).await.unwrap();
        }
        counted_unanswered += open.len() as u64 - new;
        assert_eq!(found + new, most, "kill {kill}: what was counted unheard is not counted again");
        for ids in sure.chunks(1_000) {
            assert_eq!(
                send(&client, &server.base, &token, ids).await,
                Some(0),
                "kill {kill}: it was counted"
            );
        }
        assert_eq!(total(&path).await, most, "kill {kill}");
    }
    let _ = writeln!(
        std::io::stderr(),
        "{} kills: {acknowledged} events acknowledged, {unanswered} unanswered ({counted_unanswered} of them counted), \
         each counted once",
        kills()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_and_doubles_no_event_on_sqlite() {
    survives(&[], async |dir| {
        let url = format!("sqlite:{}/qs.db", dir.display());
        let db = Db::connect(&Address::Url(Secret::new(url)), 1).await.unwrap();
        let query = "select submission_count from counter_daily \
                     where org_id = 1 and statistic_type = 'questionnaire' and statistic_key = 'load'";
        let row = db.fetch_optional(sql(query)).await.unwrap();
        let total = row.map_or(0, |row| row.columns().count().unwrap());
        db.close().await;
        total
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_and_doubles_no_event_on_redis() {
    let Some(redis) = PrivateRedis::start("a server killed under events on Redis") else { return };
    survives(&[("QS_REDIS__URL", &redis.url())], async |_| {
        let hash = "stats:daily:1:questionnaire:load:2026-01-05";
        redis.run::<Option<u64>>(&["HGET", hash, "submission_count"]).unwrap_or(0)
    })
    .await;
}
