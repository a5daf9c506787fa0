//! What a gallery notes about the sources of its items, so that their pictures can be found again.

use serde::{Deserialize, Serialize};
use tercet_gallery::WriteGallery;
use tercet_train::data::{LabelFrom, Source};

/// A source whose pictures were added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Noted {
    /// The source, as `kind:PATH` with the whole path.
    pub(crate) source: String,
    /// What was put before the ids of its items.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) prefix: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) label_from: Option<LabelFrom>,
}

impl Noted {
    pub(crate) fn of(source: &Source, prefix: &str, label_from: Option<&LabelFrom>) -> Self {
        let whole = source.path().and_then(|path| path.canonicalize().ok());
        let source = match whole {
            Some(path) => format!("{}:{}", source.kind(), path.display()),
            None => source.to_string(),
        };
        Self { source, prefix: prefix.to_owned(), label_from: label_from.cloned() }
    }

    /// Writes it into the gallery.
    pub(crate) fn write(&self, writer: &mut dyn WriteGallery) -> anyhow::Result<()> {
        Ok(writer.note_source(&serde_json::to_string(self)?)?)
    }

    /// Reads it from a text that a gallery has noted; `None` if another version wrote it.
    pub(crate) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}
