//! The gallery as asynchronous code uses it.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::sleep;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use tercet_gallery::{Error, Info, ReadGallery, WriteGallery};
use tercet_train::Model;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::commit::Commit;
use crate::refusal::Refusal;

/// The interval at which a gallery is tried again while another process writes it.
const TRY_AGAIN: Duration = Duration::from_millis(50);

pub(crate) struct Gallery {
    location: String,
    seen: Arc<Seen>,
    /// Locked during a change; changes are made in the order of arrival. A change holds this lock
    /// until the writer is closed, even if its client has disconnected, so that the next one can
    /// open the gallery.
    writing: Arc<Mutex<()>>,
    /// How long a change waits for another process that is writing.
    patience: Duration,
    pub(crate) read_only: bool,
}

/// The state of the gallery at the last refresh.
struct Seen {
    reader: Arc<dyn ReadGallery>,
    info: RwLock<Arc<Info>>,
}

/// Why a change was not made.
enum Undone {
    /// The request was abandoned before the change began.
    GivenUp,
    Refused(Error),
}

impl Gallery {
    /// Opens a gallery. It reads much, so it must not be called from asynchronous code.
    pub(crate) fn open(
        location: String,
        read_only: bool,
        patience: Duration,
    ) -> Result<Self, Error> {
        let reader: Arc<dyn ReadGallery> = tercet_gallery::reader(&location)?.into();
        let info = RwLock::new(Arc::new(reader.info()?));
        let seen = Arc::new(Seen { reader, info });
        Ok(Self { location, seen, writing: Arc::default(), patience, read_only })
    }

    pub(crate) fn info(&self) -> Arc<Info> {
        self.seen.info.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The model of the gallery's vectors: the file that is named, or else the one that the gallery
    /// contains. Must not be called from asynchronous code.
    pub(crate) fn model(&self, given: Option<&Path>) -> Result<Option<Model>, crate::Error> {
        let reader = &self.seen.reader;
        let model = match given {
            Some(path) => Model::load(path)?,
            None => {
                let Some(file) = reader.model()? else { return Ok(None) };
                let place =
                    Path::new(&tercet_gallery::shown(&self.location)).join("model.safetensors");
                Model::from_bytes(file, &place)?
            }
        };
        let expected = &reader.settings().model;
        match model.fingerprint == *expected {
            true => Ok(Some(model)),
            false => {
                let (expected, got) = (expected.clone(), model.fingerprint);
                Err(Error::Model { expected, got }.into())
            }
        }
    }

    pub(crate) fn reader(&self) -> Arc<dyn ReadGallery> {
        self.seen.reader.clone()
    }

    /// Runs a query with the reader, on a thread that may block.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn ReadGallery) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Refusal> {
        let reader = self.reader();
        let answer = spawn_blocking(move || question(&*reader)).await;
        Ok(answer.map_err(Refusal::internal)??)
    }

    /// Changes the gallery and refreshes the reader. Waits for earlier changes, and for a limited
    /// time for another process that writes. The gallery's lock is held during the change only, so
    /// that other processes can write in between.
    ///
    /// A request that is abandoned before its change begins changes nothing. A change that has
    /// begun is finished, whether or not its client still waits.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        commit: &Commit,
        change: impl FnOnce(&mut dyn WriteGallery) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Refusal> {
        if self.read_only {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "read-only",
                "the gallery is served read-only: start without --read-only to change it",
            ));
        }
        let until = Instant::now() + self.patience;
        let turn = self.writing.clone().lock_owned().await;
        let (location, commit, seen) = (self.location.clone(), commit.clone(), self.seen.clone());
        let done = spawn_blocking(move || {
            let _turn = turn;
            let done = write(&location, &commit, until, change)?;
            // The change is on disk; if it cannot be read now, a later refresh will read it.
            if let Err(error) = seen.look_again() {
                crate::log::detail("the gallery cannot be read again", &error);
            }
            Ok::<T, Undone>(done)
        });
        match done.await.map_err(Refusal::internal)? {
            Ok(done) => Ok(done),
            Err(Undone::Refused(error)) => Err(error.into()),
            // No client receives this.
            Err(Undone::GivenUp) => Err(Refusal::too_slow("given up; nothing was changed")),
        }
    }

    /// Refreshes the reader, so that it sees the changes of others.
    pub(crate) async fn look_again(&self) -> Result<(), Refusal> {
        let seen = self.seen.clone();
        let looked = spawn_blocking(move || seen.look_again()).await;
        Ok(looked.map_err(Refusal::internal)??)
    }
}

impl Seen {
    fn look_again(&self) -> Result<(), Error> {
        if self.reader.refresh()? {
            let info = Arc::new(self.reader.info()?);
            *self.info.write().unwrap_or_else(PoisonError::into_inner) = info;
        }
        Ok(())
    }
}

/// Opens the gallery, changes it unless the request was abandoned, and closes it.
fn write<T>(
    location: &str,
    commit: &Commit,
    until: Instant,
    change: impl FnOnce(&mut dyn WriteGallery) -> Result<T, Error>,
) -> Result<T, Undone> {
    let mut writer = loop {
        if commit.is_given_up() {
            return Err(Undone::GivenUp);
        }
        match tercet_gallery::writer(location) {
            Err(Error::Locked { .. }) if Instant::now() < until => sleep(TRY_AGAIN),
            opened => break opened.map_err(Undone::Refused)?,
        }
    };
    match commit.begin() {
        true => change(&mut *writer).map_err(Undone::Refused),
        false => Err(Undone::GivenUp),
    }
}
