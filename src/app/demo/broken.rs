//! A gateway that lies: whatever is asked, it answers HTTP 200 with an error inside.

use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The running gateway; it stops when dropped.
pub(super) struct BrokenGateway {
    pub(super) url: String,
    server: JoinHandle<std::io::Result<()>>,
}

impl BrokenGateway {
    /// Serves on a free loopback port.
    pub(super) async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let lie = || async { Json(json!({"code": 100_101, "message": "Database error"})) };
        let server = tokio::spawn(axum::serve(listener, Router::new().fallback(lie)).into_future());
        Ok(Self { url, server })
    }
}

impl Drop for BrokenGateway {
    fn drop(&mut self) {
        self.server.abort();
    }
}
