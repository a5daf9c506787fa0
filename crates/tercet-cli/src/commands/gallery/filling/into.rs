//! The gallery to which items are added.

use ndarray::ArrayView2;
use tercet_gallery::{Duplicates, Item, Vectors, WriteGallery};

use super::{Again, Filled};
use crate::exit::Interrupted;
use crate::table::count;

/// The gallery to which items are added.
pub(crate) struct Into<'a> {
    pub(crate) writer: &'a mut dyn WriteGallery,
    pub(crate) duplicates: Duplicates,
    /// The command that continues if this one is interrupted.
    pub(crate) again: &'a Again,
}

impl Into<'_> {
    pub(super) fn add(
        &mut self,
        model: &str,
        rows: ArrayView2<f32>,
        items: &[Item],
        filled: &mut Filled,
    ) -> anyhow::Result<()> {
        if items.is_empty() {
            return Ok(());
        }
        let done = self.writer.add(Vectors { model, rows }, items, self.duplicates)?;
        filled.added += done.added;
        filled.replaced += done.replaced;
        Ok(())
    }

    pub(super) fn interrupted(&self, done: usize, all: usize) -> anyhow::Error {
        Interrupted(format!(
            "interrupted: {} of {} items are in the gallery; continue with: {}",
            count(done),
            count(all),
            self.again
        ))
        .into()
    }
}
