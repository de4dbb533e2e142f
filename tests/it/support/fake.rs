//! A server whose every answer is scripted, down to the reset of the connection. It runs on threads and plain sockets,
//! so that a test can say exactly what a client meets. A test that never calls its server fails.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("the body is text")
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

/// What the server does with a request that it has read.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Status, headers, body.
    Reply(u16, Vec<(String, String)>, Vec<u8>),
    /// Headers that promise `declared` bytes, then only these, then the connection ends.
    Truncated { declared: usize, sent: Vec<u8> },
    /// Headers and a beginning of the body, then silence until the client goes.
    SlowBody(Vec<u8>),
    /// Silence until the client goes.
    SlowHeaders,
    /// The connection is reset.
    Reset,
    /// The connection ends without an answer.
    Close,
}

impl Answer {
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::typed(status, "application/json", body.to_string())
    }

    pub fn typed(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::Reply(status, vec![("Content-Type".to_owned(), content_type.to_owned())], body.into())
    }

    pub fn status(status: u16) -> Self {
        Self::Reply(status, Vec::new(), Vec::new())
    }

    pub fn with(self, name: &str, value: impl Into<String>) -> Self {
        match self {
            Self::Reply(status, mut headers, body) => {
                headers.push((name.to_owned(), value.into()));
                Self::Reply(status, headers, body)
            }
            other => other,
        }
    }
}

/// What the server does with a connection before it reads anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    Serve,
    /// Serves any number of requests.
    #[cfg(feature = "server")]
    KeepAlive,
    /// Accepts and resets at once.
    Reset,
}

type Script = dyn Fn(&Received) -> Answer + Send + Sync;

/// A running fake server; it stops when dropped.
pub struct FakeServer {
    addr: SocketAddr,
    scheme: &'static str,
    received: Arc<Mutex<Vec<Received>>>,
    accepted: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    may_be_unused: bool,
}

impl FakeServer {
    /// Serves plain http.
    pub fn start(script: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        Self::launch(None, Greeting::Serve, Arc::new(script))
    }

    /// Serves plain http, and keeps a connection for the next request after a whole reply.
    #[cfg(feature = "server")]
    pub fn start_keeping_alive(script: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        Self::launch(None, Greeting::KeepAlive, Arc::new(script))
    }

    /// Serves https with `config`.
    pub fn start_tls(
        config: Arc<ServerConfig>,
        script: impl Fn(&Received) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::launch(Some(config), Greeting::Serve, Arc::new(script))
    }

    /// Resets every connection before it reads a byte; `scheme` is what the client believes it speaks.
    pub fn resetting(scheme: &'static str) -> Self {
        let mut server = Self::launch(None, Greeting::Reset, Arc::new(|_: &Received| Answer::Reset)).unused();
        server.scheme = scheme;
        server
    }

    /// A server that need not be called.
    pub fn unused(mut self) -> Self {
        self.may_be_unused = true;
        self
    }

    fn launch(tls: Option<Arc<ServerConfig>>, greeting: Greeting, script: Arc<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("the port is bound");
        let received = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let accepted = Arc::new(AtomicUsize::new(0));
        let (seen, ended, count) = (Arc::clone(&received), Arc::clone(&stop), Arc::clone(&accepted));
        let scheme = if tls.is_some() { "https" } else { "http" };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                count.fetch_add(1, Ordering::SeqCst);
                if greeting == Greeting::Reset {
                    reset(&stream);
                    continue;
                }
                let (tls, script, seen) = (tls.clone(), Arc::clone(&script), Arc::clone(&seen));
                std::thread::spawn(move || {
                    // A client that goes away in the middle is part of many tests.
                    drop(serve(stream, tls, greeting, &*script, &seen));
                });
            }
        });
        Self { addr, scheme, received, accepted, stop, may_be_unused: false }
    }

    /// `http://127.0.0.1:PORT`, or with https.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.addr)
    }

    /// Every request so far, in order of arrival.
    pub fn requests(&self) -> Vec<Received> {
        self.received.lock().expect("no script panics while it is recorded").clone()
    }

    /// How many connections were accepted.
    #[cfg(feature = "server")]
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// How many requests had this path.
    pub fn count(&self, path: &str) -> usize {
        self.requests().iter().filter(|request| request.path == path).count()
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the accept loop.
        drop(TcpStream::connect(self.addr));
        if !self.may_be_unused && !std::thread::panicking() {
            assert!(!self.requests().is_empty(), "the fake server was never called");
        }
    }
}

fn serve(
    stream: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    greeting: Greeting,
    script: &Script,
    seen: &Mutex<Vec<Received>>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let raw = stream.try_clone()?;
    match tls {
        None => exchange(stream, &raw, greeting, script, seen),
        Some(config) => {
            let connection = ServerConnection::new(config).map_err(io::Error::other)?;
            exchange(StreamOwned::new(connection, stream), &raw, greeting, script, seen)
        }
    }
}

fn exchange(
    stream: impl Read + Write,
    raw: &TcpStream,
    greeting: Greeting,
    script: &Script,
    seen: &Mutex<Vec<Received>>,
) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    while answer(&mut reader, raw, greeting, script, seen)? {}
    Ok(())
}

/// Answers one request. True if the connection is for another one.
fn answer(
    reader: &mut BufReader<impl Read + Write>,
    raw: &TcpStream,
    greeting: Greeting,
    script: &Script,
    seen: &Mutex<Vec<Received>>,
) -> io::Result<bool> {
    let is_kept = !matches!(greeting, Greeting::Serve | Greeting::Reset);
    let request = read_request(reader)?;
    seen.lock().expect("no script panics while it is recorded").push(request.clone());
    let stream = reader.get_mut();
    match script(&request) {
        Answer::Reply(status, headers, body) => {
            let length = if matches!(status, 204 | 304) { None } else { Some(body.len()) };
            stream.write_all(&head(status, &headers, length, is_kept))?;
            stream.write_all(&body)?;
            stream.flush()?;
            if is_kept {
                return Ok(true);
            }
            wait_for_close(raw)?;
        }
        Answer::Truncated { declared, sent } => {
            stream.write_all(&head(200, &json_type(), Some(declared), false))?;
            stream.write_all(&sent)?;
            stream.flush()?;
        }
        Answer::SlowBody(beginning) => {
            stream.write_all(&head(200, &json_type(), Some(beginning.len() + 100), false))?;
            stream.write_all(&beginning)?;
            stream.flush()?;
            wait_for_close(raw)?;
        }
        Answer::SlowHeaders => wait_for_close(raw)?,
        Answer::Reset => reset(raw),
        Answer::Close => {}
    }
    Ok(false)
}

fn json_type() -> Vec<(String, String)> {
    vec![("Content-Type".to_owned(), "application/json".to_owned())]
}

fn head(status: u16, headers: &[(String, String)], length: Option<usize>, is_kept: bool) -> Vec<u8> {
    let connection = if is_kept { "keep-alive" } else { "close" };
    let mut head = format!("HTTP/1.1 {status} Scripted\r\nConnection: {connection}\r\n");
    if let Some(length) = length {
        head += &format!("Content-Length: {length}\r\n");
    }
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    (head + "\r\n").into_bytes()
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Received> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut parts = line.split_whitespace();
    let (Some(method), Some(path)) = (parts.next(), parts.next()) else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        match header.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
            None => break,
        }
    }
    let mut request =
        Received { method: method.to_owned(), path: path.to_owned(), headers, body: Vec::new() };
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    request.body = vec![0; length];
    reader.read_exact(&mut request.body)?;
    Ok(request)
}

/// Until the client closes its side; bounded, so that a test that hangs fails instead.
fn wait_for_close(stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut stream = stream;
    while stream.read(&mut [0; 1024])? > 0 {}
    Ok(())
}

/// Closes so that the client sees a reset.
fn reset(stream: &TcpStream) {
    drop(socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)));
    drop(stream.shutdown(std::net::Shutdown::Both));
}
