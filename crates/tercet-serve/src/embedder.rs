//! Embeds pictures and texts: decodes pictures within a memory limit, and embeds in batches.

use std::ops::ControlFlow;
use std::sync::{Arc, mpsc};
use std::thread;

use ndarray::{Array1, Array2};
use tercet_gallery::Thumbnail;
use tercet_train::Model;
use tercet_train::model::{ModelCard, ModelError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::spawn_blocking;

use crate::Limits;
use crate::body::Upload;
use crate::decoders::Decoders;
use crate::metrics::Metrics;
use crate::picture;
use crate::refusal::Refusal;

/// A model, and the queue of the pictures or texts that wait for it.
///
/// A picture takes a place in the queue, waits for its [turn](Decoders) to be decoded and resized
/// to the model's input, and then waits until the current forward pass ends; the next pass takes
/// all pictures that wait, up to the batch size. A text only takes a place and waits.
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
    input: Input,
    answer: oneshot::Sender<Result<Array1<f32>, String>>,
    /// The place in the queue, returned when the picture is embedded, even if its client has
    /// disconnected.
    place: OwnedSemaphorePermit,
}

enum Input {
    /// A picture at the size of the encoder's input, so that waiting pictures need little memory.
    Picture(Vec<u8>),
    Text(String),
}

/// The longest text that is embedded, in bytes: far more than encoders read.
const LONGEST_TEXT: usize = 1 << 16;

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

    /// Whether the model takes texts.
    pub(crate) fn reads_texts(&self) -> bool {
        self.card.preprocessing.texts().is_ok()
    }

    /// Computes the vector of a text.
    pub(crate) async fn embed_text(&self, text: String) -> Result<Array1<f32>, Refusal> {
        let texts = self.card.preprocessing.texts();
        texts.map_err(|error| Refusal::unacceptable("no-texts", error))?;
        if text.trim().is_empty() {
            return Err(Refusal::unacceptable("empty", "the text is empty: expected some words"));
        }
        if text.len() > LONGEST_TEXT {
            let got = text.len();
            return Err(Refusal::too_large(format!(
                "the text has {got} bytes: expected at most {LONGEST_TEXT}"
            )));
        }
        let place = self.place()?;
        self.answer(Input::Text(text), place).await
    }

    /// Computes the vector of a picture and, if `small` is set, its thumbnail.
    pub(crate) async fn embed(&self, upload: Upload, small: bool) -> Result<Embedded, Refusal> {
        if self.reads_texts() {
            let message =
                "this gallery is of texts: expected JSON, {\"text\": \"…\"}, not a picture";
            return Err(Refusal::unacceptable("no-pictures", message));
        }
        let place = self.place()?;
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
        let vector = self.answer(Input::Picture(input), place).await?;
        Ok(Embedded { vector, thumbnail })
    }

    /// A place in the queue.
    fn place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        self.places.clone().try_acquire_owned().map_err(|_| {
            self.metrics.turned_away();
            Refusal::busy("too many pictures or texts are waiting to be embedded")
        })
    }

    /// Waits for the vector of an input.
    async fn answer(
        &self,
        input: Input,
        place: OwnedSemaphorePermit,
    ) -> Result<Array1<f32>, Refusal> {
        let (answer, answered) = oneshot::channel();
        self.waiting
            .send(Waiting { input, answer, place })
            .map_err(|_| Refusal::internal("the model has stopped"))?;
        let vector = answered.await.map_err(|_| Refusal::internal("the model has stopped"))?;
        vector.map_err(Refusal::internal)
    }
}

/// Embeds the waiting pictures or texts, until the sending side of the queue is closed.
fn serve(model: &Model, arrivals: &mpsc::Receiver<Waiting>, batch: usize, metrics: &Metrics) {
    while let Ok(first) = arrivals.recv() {
        let others = arrivals.try_iter().take(batch.saturating_sub(1));
        let all: Vec<Waiting> = std::iter::once(first).chain(others).collect();
        let (inputs, rest): (Vec<Input>, Vec<_>) =
            all.into_iter().map(|one| (one.input, (one.answer, one.place))).unzip();
        metrics.embedded_together(inputs.len());
        let vectors = embed(model, &inputs);
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

/// The vectors of inputs, all of which are what the model takes.
fn embed(model: &Model, inputs: &[Input]) -> Result<Array2<f32>, ModelError> {
    let texts: Vec<&str> = inputs.iter().filter_map(Input::text).collect();
    if !texts.is_empty() {
        return model.embed_texts(&texts, &|_| ControlFlow::Continue(()));
    }
    let pictures: Vec<Vec<u8>> = inputs.iter().filter_map(Input::picture).cloned().collect();
    model.embed_prepared(&pictures)
}

impl Input {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Picture(_) => None,
        }
    }

    fn picture(&self) -> Option<&Vec<u8>> {
        match self {
            Self::Picture(picture) => Some(picture),
            Self::Text(_) => None,
        }
    }
}
