//! Vectors that wait for the switch of a gallery to a new model.

use ndarray::{Array2, ArrayView1};

use crate::{Error, Item, Origin, ReadGallery};

/// Vectors that wait for a [switch](crate::WriteGallery::switch).
///
/// They are the items of a gallery of their own, with the ids of the items whose vectors they
/// replace. An attribute records which vector that is: if the item has changed in the meantime, its
/// staged vector is out of date.
#[derive(Debug, Clone)]
pub struct Staged {
    pub(crate) vectors: Array2<f32>,
    pub(crate) of: Vec<String>,
    pub(crate) origins: Vec<Option<Origin>>,
}

/// The attribute with the fingerprint of the vector that is replaced.
const OF: &str = "replaces";

/// The attribute with the origin of a vector that was carried over.
const ORIGIN: &str = "origin";

impl Staged {
    /// An item of the staged gallery, for the item of this id whose vector has this
    /// [fingerprint](Self::fingerprint). `origin` is none if the new model computed the new vector.
    pub fn item(id: &str, replaces: &str, origin: Option<Origin>) -> Item {
        let item = Item::new(id).with(OF, replaces);
        match origin {
            Some(origin) => item.with(ORIGIN, origin.name()),
            None => item,
        }
    }

    /// The fingerprint of the vector that a staged item replaces; `None` if it is no such item.
    pub fn replaces(item: &Item) -> Option<&str> {
        item.attributes.get(OF).map(String::as_str)
    }

    /// A short text that differs for different vectors.
    pub fn fingerprint(vector: ArrayView1<f32>) -> String {
        let sum = vector.iter().fold(0, |sum, x| crc32c::crc32c_append(sum, &x.to_le_bytes()));
        format!("{sum:08x}")
    }

    /// The staged vectors of some items of the gallery at `location`, in their order.
    pub(crate) fn read(
        staged: &dyn ReadGallery,
        ids: &[&str],
        location: &str,
    ) -> Result<Self, Error> {
        let (mut of, mut origins) = (Vec::new(), Vec::new());
        for &id in ids {
            let item = staged
                .item(id)?
                .ok_or_else(|| Error::NotStaged { location: location.to_owned() })?;
            of.push(Self::replaces(&item).unwrap_or_default().to_owned());
            origins.push(item.attributes.get(ORIGIN).and_then(|name| Origin::named(name)));
        }
        Ok(Self { vectors: staged.vectors(ids)?, of, origins })
    }
}
