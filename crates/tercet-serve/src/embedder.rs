//! Embeds pictures: decodes them within a memory limit, and embeds them in batches.

use std::sync::{Arc, mpsc};
use std::thread;

use ndarray::Array1;
use tercet_gallery::Thumbnail;
use tercet_train::Model;
use tercet_train::model::ModelCard;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::spawn_blocking;

use crate::Limits;
use crate::body::Upload;
use crate::decoders::Decoders;
use crate::metrics::Metrics;
use crate::picture;
use crate::refusal::Refusal;

/// A model, and the queue of the pictures that wait for it.
///
/// A picture takes a place in the queue, waits for its [turn](Decoders) to be decoded and resized
/// to the model's input, and then waits until the current forward pass ends; the next pass takes
/// all pictures that wait, up to the batch size.
#[derive(Debug)]
pub(crate) struct Embedder {
    /// The model card that the model file contains.
    pub(crate) card: Arc<ModelCard>,
    pub(crate) fingerprint: String,
    places: Arc<Semaphore>,
    decoders: Decoders,
    pixels: u64,
    waiting: mpsc::Sender<Waiting>,
    metrics: Arc<Metrics>,
}

/// A picture with its vector.
#[derive(Debug)]
pub(crate) struct Embedded {
    pub(crate) vector: Array1<f32>,
    pub(crate) thumbnail: Option<Thumbnail>,
}

struct Waiting {
    /// The picture at the size of the encoder's input, so that waiting pictures need little memory.
    input: Vec<u8>,
    answer: oneshot::Sender<Result<Array1<f32>, String>>,
    /// The place in the queue, returned when the picture is embedded, even if its client has
    /// disconnected.
    place: OwnedSemaphorePermit,
}

impl Embedder {
    pub(crate) fn new(model: Model, limits: &Limits, metrics: Arc<Metrics>) -> Self {
        let (waiting, arrivals) = mpsc::channel();
        let embedder = Self {
            card: Arc::new(model.card.clone()),
            fingerprint: model.fingerprint.clone(),
            places: Arc::new(Semaphore::new(limits.queue)),
            decoders: Decoders::new(limits),
            pixels: limits.pixels,
            waiting,
            metrics: metrics.clone(),
        };
        let batch = limits.batch;
        thread::spawn(move || serve(&model, &arrivals, batch, &metrics));
        embedder
    }

    /// Computes the vector of a picture and, if `small` is set, its thumbnail.
    pub(crate) async fn embed(&self, upload: Upload, small: bool) -> Result<Embedded, Refusal> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| {
            self.metrics.turned_away();
            Refusal::busy("too many pictures are waiting to be embedded")
        })?;
        let (card, pixels, bytes) = (self.card.clone(), self.pixels, upload.bytes.clone());
        let size = spawn_blocking(move || picture::measure(&bytes, pixels)).await;
        let turn = self.decoders.turn(size.map_err(Refusal::internal)??).await?;
        let prepared = spawn_blocking(move || {
            // Hold the turn until the pixels are freed, even if the client has disconnected.
            let _turn = turn;
            let picture = picture::decode(&upload.bytes, pixels)?;
            let input = card.preprocessing.images().and_then(|images| images.apply(&picture));
            let input = input.map_err(|error| Refusal::unacceptable("undecodable", error))?;
            let thumbnail = small.then(|| picture::thumbnail(&picture)).transpose()?;
            Ok::<_, Refusal>((input, thumbnail))
        });
        let (input, thumbnail) = prepared.await.map_err(Refusal::internal)??;
        let (answer, answered) = oneshot::channel();
        self.waiting
            .send(Waiting { input, answer, place })
            .map_err(|_| Refusal::internal("the model has stopped"))?;
        let vector = answered.await.map_err(|_| Refusal::internal("the model has stopped"))?;
        Ok(Embedded { vector: vector.map_err(Refusal::internal)?, thumbnail })
    }
}

/// Embeds the waiting pictures, until the sending side of the queue is closed.
fn serve(model: &Model, arrivals: &mpsc::Receiver<Waiting>, batch: usize, metrics: &Metrics) {
    while let Ok(first) = arrivals.recv() {
        let others = arrivals.try_iter().take(batch.saturating_sub(1));
        let all: Vec<Waiting> = std::iter::once(first).chain(others).collect();
        let (inputs, rest): (Vec<Vec<u8>>, Vec<_>) =
            all.into_iter().map(|one| (one.input, (one.answer, one.place))).unzip();
        metrics.embedded_together(inputs.len());
        let vectors = model.embed_prepared(&inputs);
        for (row, (answer, _place)) in rest.into_iter().enumerate() {
            let vector = match &vectors {
                Ok(vectors) => Ok(vectors.row(row).to_owned()),
                Err(error) => Err(error.to_string()),
            };
            // A client that has disconnected does not need its vector.
            let _ = answer.send(vector);
        }
    }
}
