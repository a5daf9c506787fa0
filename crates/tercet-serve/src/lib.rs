//! A gallery over HTTP: a JSON interface, and a page to search, compare and explore it.
//!
//! [`Server::open`] takes a gallery and the model of its vectors, [`Server::run`] serves requests
//! until it is stopped. The OpenAPI document at `/api/openapi.json` describes every request.
//!
//! # Guarantees
//! - **Bounded.** Every [limit](Limits) on size, number and time holds for all clients: bodies are
//!   counted as they arrive, pictures are refused by the size in their header, large pictures are
//!   decoded one after the other, and idle connections are closed when others need their place. A
//!   client that arrives when a limit is reached gets 503 with `Retry-After`.
//! - **Batched.** Pictures that arrive during a forward pass share the next one.
//! - **Atomic.** Changes are made one after the other, each as a whole or not at all. An answer
//!   that says that nothing was changed (408) is always right, and a client that has disconnected
//!   does not block others.
//! - **Protected.** Without a token only requests of this machine are answered, and only by its own
//!   names; wrong tokens are answered slowly; pages of other sites cannot change anything; no
//!   address gives access to the disk, and no answer contains a folder of this machine.

mod api;
mod body;
mod commit;
mod connection;
mod decoders;
pub mod demo;
mod embedder;
mod evidences;
mod find;
mod gallery;
mod guard;
mod guesses;
mod keys;
mod limits;
mod log;
mod map;
mod metrics;
mod network;
mod page;
mod parameters;
mod paths;
mod picture;
mod places;
mod refusal;
mod sample;
mod service;

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tercet::ParameterError;
use tercet_train::model::ModelError;

use crate::body::Bodies;
use crate::embedder::Embedder;
use crate::gallery::Gallery;
use crate::guesses::Guesses;
use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::service::Service;

pub use limits::{Limits, MOST};

/// The interval at which the server reads the changes of other processes.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// The interval at which the server checks whether it should stop.
const ASK_TO_STOP: Duration = Duration::from_millis(50);

/// The settings of a server.
#[derive(Debug)]
pub struct Settings {
    /// Folder or address of the gallery.
    pub gallery: String,
    /// The name that the page shows.
    pub name: String,
    /// The model of its vectors, or else the one that the gallery contains. Without either,
    /// pictures cannot be embedded.
    pub model: Option<PathBuf>,
    /// Whether adding and removing items is disabled.
    pub read_only: bool,
    /// Whether the gallery is deleted when the server stops; the page says so.
    pub passing: bool,
    /// Only requests with this token are answered; without one, only requests of this machine.
    pub token: Option<String>,
    /// The limits on requests.
    pub limits: Limits,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The gallery could not be opened.
    #[error(transparent)]
    Gallery(#[from] tercet_gallery::Error),
    /// The model could not be read.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A limit is out of its range.
    #[error("the limit `{}` is {}: expected {}", .0.parameter, .0.got, .0.expected)]
    Limit(ParameterError),
    /// The operating system reported an error.
    #[error("cannot serve: {0}")]
    Io(#[from] io::Error),
}

/// An open gallery that can be served.
pub struct Server {
    service: Service,
}

impl Server {
    /// Opens the gallery.
    ///
    /// # Errors
    /// The gallery cannot be opened; the model is not the one of its vectors; a limit is out of its
    /// range.
    pub fn open(settings: Settings) -> Result<Self, Error> {
        let Settings { gallery, name, model, read_only, passing, token, limits } = settings;
        limits.check().map_err(Error::Limit)?;
        let gallery = Gallery::open(gallery, read_only, limits.writer)?;
        let model = gallery.model(model.as_deref())?;
        let metrics = Arc::new(Metrics::new());
        let embedder = model.map(|model| Embedder::new(model, &limits, metrics.clone()));
        let bodies = Bodies::new(&limits);
        let service = Service {
            name,
            passing,
            gallery,
            embedder,
            map: Arc::default(),
            bodies,
            keys: token.map(Keys::new),
            guesses: Guesses::default(),
            evidences: Arc::default(),
            metrics,
            limits,
        };
        Ok(Self { service })
    }

    /// The number of items in the gallery.
    pub fn items(&self) -> u64 {
        self.service.gallery.info().items
    }

    /// The fingerprint of the model, if the server can embed pictures.
    pub fn model(&self) -> Option<&str> {
        self.service.embedder.as_ref().map(|embedder| &embedder.fingerprint[..])
    }

    /// Serves requests until `stop` returns true; then finishes those that have begun, within
    /// [`Limits::farewell`].
    ///
    /// # Errors
    /// The operating system cannot start threads, or the listener fails.
    pub fn run(self, listener: TcpListener, stop: impl Fn() -> bool) -> Result<(), Error> {
        let port = listener.local_addr()?.port();
        let Self { mut service } = self;
        service.keys = service.keys.map(|keys| keys.at_port(port));
        let service = Arc::new(service);
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            listener.set_nonblocking(true)?;
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let watching = tokio::spawn(watch(service.clone()));
            let routes = api::routes(service.clone());
            let (limits, metrics) = (service.limits, service.metrics.clone());
            let stopped = async {
                while !stop() {
                    tokio::time::sleep(ASK_TO_STOP).await;
                }
            };
            connection::serve(listener, routes, limits, metrics, stopped).await;
            watching.abort();
            Ok::<(), io::Error>(())
        })?;
        // No client waits for computations that are still running.
        runtime.shutdown_timeout(Duration::from_secs(1));
        Ok(())
    }
}

/// The OpenAPI document, which the server returns at `/api/openapi.json`.
pub fn openapi() -> String {
    serde_json::to_string_pretty(&api::document()).unwrap_or_default()
}

/// Regularly reads the changes of other processes.
async fn watch(service: Arc<Service>) {
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        // If the gallery cannot be read now, the next request reports it.
        let _ = service.gallery.look_again().await;
    }
}

/// The example of the README is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
