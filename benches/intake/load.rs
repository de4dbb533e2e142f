//! The load: connections that are kept alive, requests that are written before the clock starts, and replies of which
//! only the numbers are read. What it costs must not be mistaken for the cost of the server.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How events are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// In one request; 1 is one by one.
    pub(crate) batch: usize,
    /// Connections at once.
    pub(crate) connections: usize,
    /// Different origins.
    pub(crate) origins: usize,
    /// As lines, not as an array.
    pub(crate) lines: bool,
}

/// What a load came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) events: usize,
    pub(crate) counted: u64,
    pub(crate) seconds: f64,
}

impl Measured {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rate"
    )]
    pub(crate) fn rate(self) -> u64 {
        (self.events as f64 / self.seconds) as u64
    }
}

/// Sends so many events, with ids that begin with `name`.
pub(crate) async fn run(
    host: &str,
    token: &str,
    name: &str,
    events: usize,
    shape: Shape,
) -> anyhow::Result<Measured> {
    let requests: VecDeque<Vec<u8>> = (0..events)
        .step_by(shape.batch)
        .map(|first| request(host, token, name, first..(first + shape.batch).min(events), shape))
        .collect();
    let requests = Arc::new(Mutex::new(requests));
    let began = Instant::now();
    let senders: Vec<_> = (0..shape.connections)
        .map(|_| tokio::spawn(sender(host.to_owned(), Arc::clone(&requests))))
        .collect();
    let mut counted = 0;
    for sender in senders {
        counted += sender.await??;
    }
    Ok(Measured { events, counted, seconds: began.elapsed().as_secs_f64() })
}

fn event(name: &str, number: usize, shape: Shape) -> Value {
    json!({
        "event_id": format!("{name}-{number}"),
        "type": "submitted",
        "questionnaire_code": format!("Q{}", number % 50),
        "testee_id": number % 5_000,
        "plan_id": 1 + number % 20,
        // Each questionnaire has all of them.
        "origin": format!("origin-{}", number / 50 % shape.origins),
    })
}

fn request(host: &str, token: &str, name: &str, numbers: std::ops::Range<usize>, shape: Shape) -> Vec<u8> {
    let mut events = numbers.map(|number| event(name, number, shape));
    let (kind, body) = match (shape.batch, shape.lines) {
        (1, _) => ("application/json", events.next().unwrap_or_default().to_string()),
        (_, false) => ("application/json", events.collect::<Value>().to_string()),
        (_, true) => ("application/x-ndjson", events.map(|event| event.to_string() + "\n").collect()),
    };
    let length = body.len();
    format!(
        "POST /api/v1/statistics/events HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\
         content-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

async fn sender(host: String, requests: Arc<Mutex<VecDeque<Vec<u8>>>>) -> anyhow::Result<u64> {
    let mut connection = TcpStream::connect(&host).await?;
    connection.set_nodelay(true)?;
    let (mut counted, mut buffer) = (0, Vec::with_capacity(1 << 17));
    loop {
        let Some(request) = requests.lock().map_err(|_| anyhow::anyhow!("a sender panicked"))?.pop_front()
        else {
            return Ok(counted);
        };
        connection.write_all(&request).await?;
        counted += reply(&mut connection, &mut buffer).await?;
    }
}

/// Reads one reply, and how many events it says are counted.
async fn reply(connection: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<u64> {
    buffer.clear();
    let end = loop {
        ensure!(connection.read_buf(buffer).await? > 0, "the connection has ended");
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = std::str::from_utf8(&buffer[..end])?.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).context("no length")?;
    let whole = end + length.trim().parse::<usize>()?;
    while buffer.len() < whole {
        ensure!(connection.read_buf(buffer).await? > 0, "the connection has ended");
    }
    let body = std::str::from_utf8(&buffer[end..whole])?;
    let refused = head.starts_with("http/1.1 400") && body.contains("no room for another one");
    if !head.starts_with("http/1.1 200") && !refused {
        bail!("{}: {}", head.lines().next().unwrap_or_default(), body.chars().take(300).collect::<String>());
    }
    let counted = body.split_once("\"counted\":").map_or("false", |(_, rest)| rest);
    let counted = counted.split([',', '}']).next().unwrap_or_default();
    match counted {
        "true" => Ok(1),
        "false" => Ok(0),
        number => Ok(number.parse()?),
    }
}
