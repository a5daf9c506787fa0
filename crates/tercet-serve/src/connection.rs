//! The accept loop, with the deadlines that `axum::serve` does not set.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_io_timeout::TimeoutStream;

use crate::Limits;
use crate::metrics::Metrics;
use crate::network::Network;
use crate::places::{Full, Places};

/// The largest head of a request, in bytes.
const HEAD_BYTES: usize = 32 << 10;

/// How many clients are refused with an answer at the same time; more are disconnected without one.
const TURNED_AWAY: usize = 64;

/// Serves requests until `stop` is ready, then finishes those that have begun.
pub(crate) async fn serve(
    listener: TcpListener,
    routes: Router,
    limits: Limits,
    metrics: Arc<Metrics>,
    stop: impl Future<Output = ()>,
) {
    let places = Places::new(limits.connections, limits.connections_per_address);
    let turned_away = Arc::new(Semaphore::new(TURNED_AWAY));
    let graceful = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let (stream, network) = match accepted {
            Ok((stream, address)) => (stream, Network::from(address.ip())),
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        let place = match places.take(network) {
            Ok(place) => Arc::new(place),
            Err(full) => {
                metrics.turned_away();
                if let Ok(turn) = turned_away.clone().try_acquire_owned() {
                    tokio::spawn(async move {
                        turn_away(stream, full).await;
                        drop(turn);
                    });
                }
                continue;
            }
        };
        // Send small answers at once (no Nagle delay).
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(limits.unread));
        let (answering, own) = (TowerToHyperService::new(routes.clone()), place.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(network);
            let busy = own.busy();
            let answer = answering.call(request);
            async move {
                let answer = answer.await;
                drop(busy);
                answer
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(Box::pin(stream)), service);
        let connection = graceful.watch(connection);
        let metrics = metrics.clone();
        metrics.connected();
        tokio::spawn(async move {
            tokio::select! {
                // A client that disconnects, or does not send HTTP, affects no other client.
                _ = connection => {}
                () = place.lost() => metrics.turned_away(),
            }
            metrics.disconnected();
        });
    }
    drop(listener);
    let _ = timeout(limits.farewell, graceful.shutdown()).await;
}

/// Answers a client that exceeds the limit of connections.
async fn turn_away(mut stream: TcpStream, full: Full) {
    let what = match full {
        Full::All => "too many connections",
        Full::Network => "too many connections from your address",
    };
    let body =
        format!(r#"{{"error":{{"code":"busy","message":"{what}: try again in a moment"}}}}"#);
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nretry-after: 1\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let told = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // Read the request first: closing a socket with unread data would discard the answer.
        let mut rest = [0; 1024];
        for _ in 0..64 {
            if stream.read(&mut rest).await? == 0 {
                break;
            }
        }
        Ok::<(), io::Error>(())
    };
    let _ = timeout(Duration::from_secs(1), told).await;
}

/// Waits after an error of the listener. A connection that was closed before it was accepted needs
/// no wait; a process without free file descriptors gets some when other connections end.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        sleep(Duration::from_millis(100)).await;
    }
}
