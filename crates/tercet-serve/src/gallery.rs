//! The gallery behind the interface, asked from asynchronous code.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use axum::http::StatusCode;
use tercet_gallery::{Error, Info, ReadGallery, WriteGallery};
use tercet_train::Model;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::refusal::Refusal;

pub(crate) struct Gallery {
    location: String,
    reader: Arc<dyn ReadGallery>,
    /// As of the last look.
    info: RwLock<Arc<Info>>,
    /// One change at a time; other processes are kept away by the gallery's own lock.
    writing: Mutex<()>,
    pub(crate) read_only: bool,
}

impl Gallery {
    /// Opens a gallery. Not from asynchronous code: it reads much.
    pub(crate) fn open(location: String, read_only: bool) -> Result<Self, Error> {
        let reader: Arc<dyn ReadGallery> = tercet_gallery::reader(&location)?.into();
        let info = RwLock::new(Arc::new(reader.info()?));
        Ok(Self { location, reader, info, writing: Mutex::new(()), read_only })
    }

    pub(crate) fn info(&self) -> Arc<Info> {
        self.info.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The model behind the vectors: the one that is named, or the one that the gallery keeps. Not
    /// from asynchronous code.
    pub(crate) fn model(&self, given: Option<&Path>) -> Result<Option<Model>, crate::Error> {
        let model = match given {
            Some(path) => Model::load(path)?,
            None => {
                let Some(file) = self.reader.model()? else { return Ok(None) };
                let place =
                    Path::new(&tercet_gallery::shown(&self.location)).join("model.safetensors");
                Model::from_bytes(file, &place)?
            }
        };
        let expected = &self.reader.settings().model;
        match model.fingerprint == *expected {
            true => Ok(Some(model)),
            false => {
                let (expected, got) = (expected.clone(), model.fingerprint);
                Err(Error::Model { expected, got }.into())
            }
        }
    }

    pub(crate) fn reader(&self) -> Arc<dyn ReadGallery> {
        self.reader.clone()
    }

    /// Asks the reader something, on a thread that may wait for a disk.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn ReadGallery) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Refusal> {
        let reader = self.reader.clone();
        let answer = spawn_blocking(move || question(&*reader)).await;
        Ok(answer.map_err(Refusal::internal)??)
    }

    /// Changes the gallery and sees the change. The gallery's lock is held for the change only, so
    /// that other processes can write in between.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut dyn WriteGallery) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Refusal> {
        if self.read_only {
            return Err(Refusal::new(
                StatusCode::FORBIDDEN,
                "read-only",
                "the gallery is served read-only: start without --read-only to change it",
            ));
        }
        let _turn = self.writing.lock().await;
        let location = self.location.clone();
        let done = spawn_blocking(move || change(&mut *tercet_gallery::writer(&location)?)).await;
        let done = done.map_err(Refusal::internal)??;
        self.look_again().await?;
        Ok(done)
    }

    /// Sees what others have written.
    pub(crate) async fn look_again(&self) -> Result<(), Refusal> {
        let info =
            self.ask(|reader| Ok(if reader.refresh()? { Some(reader.info()?) } else { None }));
        if let Some(info) = info.await? {
            *self.info.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(info);
        }
        Ok(())
    }
}
