//! Vectors that are carried over from an older model.

use serde::{Deserialize, Serialize};

/// How a vector that the gallery's model did not compute came into the gallery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// An adapter mapped the vector of an older model.
    Adapted,
    /// It is the vector of an older model, with which the gallery's model is compatible.
    Kept,
}

impl Origin {
    /// Its name in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Adapted => "adapted",
            Self::Kept => "kept",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Adapted, Self::Kept].into_iter().find(|origin| origin.name() == name)
    }
}

/// How the vectors that the gallery's model did not compute are compared with queries.
///
/// A distance d to such a vector counts as the distance max(0, `scale`·d + `shift`) to a vector of
/// the gallery's model: the distance at which a pair is the same with the same probability. A search
/// then ranks the items of both kinds by that probability, and one threshold serves for both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Carried {
    /// Where they come from.
    pub origin: Origin,
    /// Fingerprint of the model that computed the original vectors.
    pub model: String,
    /// Factor of a distance. Above 0.
    pub scale: f64,
    /// What is added to it.
    pub shift: f64,
}

impl Carried {
    /// The distance to a vector of the gallery's model that is as probable.
    pub fn comparable(&self, distance: f32) -> f32 {
        (self.scale * f64::from(distance) + self.shift).max(0.0) as f32
    }
}

/// The items whose vectors were carried over, in a gallery.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CarriedItems {
    /// Number of items.
    pub items: u64,
    /// How their vectors are compared.
    #[serde(flatten)]
    pub by: Carried,
}

impl CarriedItems {
    /// A sentence for the answer of a search in a gallery of `all` items: which vectors the model did
    /// not compute, and how they are ranked.
    pub fn announcement(&self, all: u64) -> String {
        let Self { items, by } = self;
        let what = match by.origin {
            Origin::Adapted => "were mapped by an adapter from those of an older model",
            Origin::Kept => "are those of an older model, with which this one is compatible",
        };
        let ranks = match *items < all {
            true => "; the ranking mixes both by calibrated probability",
            false => "",
        };
        format!("the vectors of {items} of the {all} items {what}{ranks}")
    }
}

/// What a switch or a rollback has left in the gallery.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Switched {
    /// Items whose vectors were computed by the gallery's model.
    pub computed: u64,
    /// Items whose vectors were carried over.
    pub carried: u64,
}
