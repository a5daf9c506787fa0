//! Servers to ask.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use tercet_serve::{Limits, Server, Settings, demo};

use crate::client::Request;

/// The gallery of the embedded pictures, made once and copied by those who change it.
pub(crate) fn glyphs() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER
        .get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            demo::glyphs(folder.path()).unwrap();
            folder
        })
        .path()
}

pub(crate) fn settings(gallery: &Path) -> Settings {
    Settings {
        gallery: gallery.display().to_string(),
        name: "glyphs".to_owned(),
        model: None,
        read_only: false,
        passing: false,
        token: None,
        limits: Limits::default(),
    }
}

pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) folder: PathBuf,
    _copy: Option<tempfile::TempDir>,
    stop: Arc<AtomicBool>,
    running: Option<JoinHandle<()>>,
}

impl World {
    /// Serves the embedded pictures, read by everybody.
    pub(crate) fn shared(change: impl FnOnce(&mut Settings)) -> Self {
        Self::serving(glyphs().to_owned(), None, change)
    }

    /// Serves a copy of them that may be changed.
    pub(crate) fn own(change: impl FnOnce(&mut Settings)) -> Self {
        let copy = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(glyphs()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
        Self::serving(copy.path().to_owned(), Some(copy), change)
    }

    pub(crate) fn serving(
        folder: PathBuf,
        copy: Option<tempfile::TempDir>,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let mut settings = settings(&folder);
        change(&mut settings);
        let server = Server::open(settings).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let asked = stop.clone();
        let running = std::thread::spawn(move || {
            server.run(listener, || asked.load(Ordering::Relaxed)).unwrap();
        });
        Self { address, folder, _copy: copy, stop, running: Some(running) }
    }

    pub(crate) fn get(&self, target: &str) -> Request {
        Request::new(self.address, "GET", target)
    }

    pub(crate) fn post(&self, target: &str) -> Request {
        Request::new(self.address, "POST", target)
    }

    pub(crate) fn delete(&self, target: &str) -> Request {
        Request::new(self.address, "DELETE", target)
    }

    /// Tells the server to stop, and waits until it has.
    pub(crate) fn stop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(running) = self.running.take() {
            running.join().unwrap();
        }
    }

    pub(crate) fn ask_to_stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(running) = self.running.take() {
            // A panic there is the failure of the test already.
            let _ = running.join();
        }
    }
}

/// An item of the embedded pictures, and its picture.
pub(crate) fn one() -> (String, Vec<u8>) {
    use tercet_gallery::ReadGallery;
    let reader = tercet_gallery::Reader::open(glyphs()).unwrap();
    let id = reader.items(None, 1).unwrap().items.remove(0).id;
    let picture = reader.item(&id).unwrap().unwrap().thumbnail.unwrap().bytes;
    (id, picture)
}

/// The same as it stands in an address.
pub(crate) fn escaped(id: &str) -> String {
    id.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
