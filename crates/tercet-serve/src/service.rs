//! The state that all requests share.

use std::sync::Arc;

use crate::Limits;
use crate::body::Bodies;
use crate::embedder::Embedder;
use crate::evidences::Evidences;
use crate::gallery::Gallery;
use crate::guesses::Guesses;
use crate::keys::Keys;
use crate::map::Cartographer;
use crate::metrics::Metrics;

/// The state that all requests share.
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) passing: bool,
    pub(crate) gallery: Gallery,
    pub(crate) embedder: Option<Embedder>,
    pub(crate) map: Arc<Cartographer>,
    pub(crate) bodies: Bodies,
    pub(crate) keys: Option<Keys>,
    pub(crate) guesses: Guesses,
    pub(crate) evidences: Arc<Evidences>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Limits,
}
