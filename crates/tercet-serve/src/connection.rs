//! The accept loop, with the deadlines that `axum::serve` does not set.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
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

/// Bytes of a request's head.
const HEAD_BYTES: usize = 32 << 10;

/// Answers until `stop` is ready, and what was asked before that.
pub(crate) async fn serve(
    listener: TcpListener,
    routes: Router,
    limits: Limits,
    metrics: Arc<Metrics>,
    stop: impl Future<Output = ()>,
) {
    let connections = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                pause_after(&error).await;
                continue;
            }
        };
        let Ok(place) = connections.clone().try_acquire_owned() else {
            metrics.turned_away();
            tokio::spawn(turn_away(stream));
            continue;
        };
        // Small answers should not wait for each other.
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(limits.unread));
        let service = TowerToHyperService::new(routes.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(Box::pin(stream)), service);
        let connection = graceful.watch(connection);
        let metrics = metrics.clone();
        metrics.connected();
        tokio::spawn(async move {
            // A client that breaks off, or says what no HTTP is, concerns nobody else.
            let _ = connection.await;
            metrics.disconnected();
            drop(place);
        });
    }
    drop(listener);
    let _ = timeout(limits.farewell, graceful.shutdown()).await;
}

/// What a client beyond the last allowed connection gets.
async fn turn_away(mut stream: TcpStream) {
    let body =
        r#"{"error":{"code":"busy","message":"too many connections: try again in a moment"}}"#;
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nretry-after: 1\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let told = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // What was sent is read, or closing would throw the answer away with it.
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

/// Connections that are gone before they are accepted are nothing to wait for; a process without
/// free file handles gets some when others end.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        sleep(Duration::from_millis(100)).await;
    }
}
