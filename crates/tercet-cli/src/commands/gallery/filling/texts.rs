//! Adds texts to a gallery. The gallery stores each text as an attribute of its item, so that hits can
//! show it.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use tercet_gallery::Item;
use tercet_train::Views;
use tercet_train::data::{Catalogue, Examples, PrepareOptions};
use tercet_train::model::Model;

use super::choice::{TEXT, catalogue_label};
use super::{Choice, Filled, Filling, Into};
use crate::{General, interrupt, progress};

/// The smallest and the largest number of texts in a batch.
const TEXTS: [usize; 2] = [64, 4096];

/// The time that a batch of texts should take, whatever the encoder.
const PIECE: Duration = Duration::from_secs(1);

impl Filling {
    /// Adds texts.
    pub(super) fn add_texts(
        &self,
        general: &General,
        into: &mut Into<'_>,
        model: &Model,
        catalogue: &Catalogue,
        choice: &Choice,
    ) -> anyhow::Result<Filled> {
        let wanted: Vec<u32> = choice.items.iter().map(|&item| item as u32).collect();
        let mut filled = Filled::from(choice);
        for bad in &filled.skipped {
            progress::remark(general, format!("left out {bad}"));
        }
        let bar = progress::bar(general, "adding", wanted.len());
        let (mut rest, mut piece) = (&wanted[..], TEXTS[0]);
        while !rest.is_empty() {
            let began = Instant::now();
            let (now, later) = rest.split_at(piece.min(rest.len()));
            let options = PrepareOptions { skip_bad: true, ..PrepareOptions::default() };
            let input = &model.card.preprocessing;
            let (examples, _) =
                Examples::prepare(catalogue.select(now), input, &options, &|_, _| {})?;
            let all: Vec<u32> = (0..now.len() as u32).collect();
            let go_on = |_: usize| ControlFlow::Continue(());
            let vectors = model.embed(&examples, &all, Views::Single, &go_on)?;
            let items: Vec<Item> =
                now.iter().map(|&item| self.text_item(catalogue, item)).collect();
            into.add(&model.fingerprint, vectors.view(), &items, &mut filled)?;
            rest = later;
            bar.set_position((wanted.len() - rest.len()) as u64);
            if !rest.is_empty() && interrupt::asked().is_break() {
                bar.finish_and_clear();
                return Err(into.interrupted(wanted.len() - rest.len(), wanted.len()));
            }
            let pace = PIECE.as_secs_f64() / began.elapsed().as_secs_f64().max(1e-3);
            piece = ((now.len() as f64 * pace) as usize).clamp(TEXTS[0], TEXTS[1]);
        }
        bar.finish_and_clear();
        Ok(filled)
    }

    fn text_item(&self, catalogue: &Catalogue, item: u32) -> Item {
        let of = &catalogue.items[item as usize];
        let mut attributes = super::pictures::attributes(catalogue, item);
        if let Some(text) = of.content.text() {
            attributes.insert(TEXT.to_owned(), text.to_owned());
        }
        Item {
            id: self.id(&of.id),
            label: catalogue_label(catalogue, item as usize),
            attributes,
            thumbnail: None,
        }
    }
}
