//! A second look at a server that wanted a client certificate and was gone before it answered. With TLS 1.3 its refusal
//! can be lost with the connection on which the request was being written; it is told again to a handshake without one.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConfig};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

/// The alert by which the server ends a handshake, if it does; not one byte of a request is sent.
pub(super) async fn refusal(url: &Url, config: Arc<ClientConfig>) -> Option<AlertDescription> {
    let host = url.host_str()?.trim_matches(['[', ']']);
    let stream = TcpStream::connect((host, url.port_or_known_default()?)).await.ok()?;
    let name = ServerName::try_from(host.to_owned()).ok()?;
    let mut stream = match TlsConnector::from(config).connect(name, stream).await {
        Ok(stream) => stream,
        Err(error) => return alert(&error),
    };
    let mut byte = [0];
    let mut byte = ReadBuf::new(&mut byte);
    poll_fn(|context| Pin::new(&mut stream).poll_read(context, &mut byte))
        .await
        .err()
        .as_ref()
        .and_then(alert)
}

fn alert(error: &std::io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}
