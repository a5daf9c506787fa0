//! A gallery over HTTP: a JSON interface, and a page to search, compare and look around in it.
//!
//! [`Server::open`] takes a gallery and the model behind its vectors, [`Server::run`] answers until
//! it is told to stop. The OpenAPI document at `/api/openapi.json` describes every request.
//!
//! # What is promised
//! - **Bounded.** Every [limit](Limits) on size, number and time holds for all clients: bodies are
//!   counted as they arrive, pictures refused by what their header claims, large pictures decoded
//!   one after the other, connections that do nothing closed when others need their place. A client
//!   that comes when everything is taken gets 503 with `Retry-After`.
//! - **Together.** Pictures that arrive during a forward pass share the next one.
//! - **True.** A change happens as a whole or not at all, one after the other; an answer that says
//!   that nothing was changed (408) is right, and a client that has gone is in nobody's way.
//! - **Closed.** Without a token only this machine is answered, by its own names; wrong tokens are
//!   answered slowly; pages of other sites may not change anything; no address reaches the disk, and
//!   no answer names a folder of this machine.

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

/// How often the server looks for changes of other processes.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// How often the server asks whether it should stop.
const ASK_TO_STOP: Duration = Duration::from_millis(50);

/// What to serve, and to whom.
#[derive(Debug)]
pub struct Settings {
    /// Folder or address of the gallery.
    pub gallery: String,
    /// What the page calls it.
    pub name: String,
    /// The model behind its vectors, or else the one that the gallery keeps. Without either,
    /// pictures cannot be embedded.
    pub model: Option<PathBuf>,
    /// Whether nothing can be added or removed.
    pub read_only: bool,
    /// Whether the gallery is deleted when the server stops; the page says so.
    pub passing: bool,
    /// Only requests with this token are answered; without one, only those of this machine.
    pub token: Option<String>,
    /// How much a client may ask for.
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
    /// The operating system refused.
    #[error("cannot serve: {0}")]
    Io(#[from] io::Error),
}

/// A gallery, ready to be asked about.
pub struct Server {
    service: Service,
}

impl Server {
    /// Opens the gallery.
    ///
    /// # Errors
    /// A gallery that cannot be opened; a model that did not make its vectors; a limit out of its
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

    /// Items in the gallery.
    pub fn items(&self) -> u64 {
        self.service.gallery.info().items
    }

    /// The fingerprint of the model, if pictures can be embedded.
    pub fn model(&self) -> Option<&str> {
        self.service.embedder.as_ref().map(|embedder| &embedder.fingerprint[..])
    }

    /// Answers what comes in, until `stop` says so; then ends in order, within
    /// [`Limits::farewell`].
    ///
    /// # Errors
    /// The operating system refuses threads, or the listener.
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
        // What is still being computed has nobody left to tell.
        runtime.shutdown_timeout(Duration::from_secs(1));
        Ok(())
    }
}

/// The OpenAPI document that the server gives at `/api/openapi.json`.
pub fn openapi() -> String {
    serde_json::to_string_pretty(&api::document()).unwrap_or_default()
}

/// Sees from time to time what other processes have written.
async fn watch(service: Arc<Service>) {
    loop {
        tokio::time::sleep(LOOK_AGAIN).await;
        // A gallery that cannot be read now is found out by whoever asks.
        let _ = service.gallery.look_again().await;
    }
}
