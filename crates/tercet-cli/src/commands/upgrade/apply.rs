//! Carries an upgrade out: computes or maps the new vectors beside the gallery, and switches to them
//! once all are ready.

use std::time::{Duration, Instant};

use anyhow::Context;
use ndarray::{Array2, Axis};
use serde::Serialize;
use tercet_gallery::{Hnsw, ReadGallery, Settings, Switched, WriteGallery};
use tercet_train::shell;

use super::order::most_uncertain_first;
use super::pictures::Pictures;
use super::staging::{Pending, Plan, Staging, pending, stage};
use super::{Apply, Upgrade};
use crate::commands::gallery::model::Chosen;
use crate::exit::Interrupted;
use crate::table::count;
use crate::{General, interrupt, progress};

/// The smallest and the largest number of items whose vectors are staged at once.
const ITEMS: [usize; 2] = [16, 128];

/// The time that they should take.
const PIECE: Duration = Duration::from_secs(1);

/// What an upgrade has done.
#[derive(Debug, Serialize)]
pub(super) struct Applied {
    pub(super) action: Apply,
    #[serde(flatten)]
    pub(super) switched: Switched,
    /// Vectors that were ready before, from an interrupted call.
    pub(super) ready_before: usize,
    /// Whether the gallery had an index, which was built again.
    pub(super) index_built: bool,
}

/// An upgrade in progress.
pub(super) struct Work<'a> {
    pub(super) general: &'a General,
    pub(super) upgrade: &'a Upgrade,
    pub(super) reader: &'a dyn ReadGallery,
    pub(super) new: &'a Chosen,
    pub(super) pictures: &'a Pictures,
    pub(super) plan: &'a Plan,
}

impl Work<'_> {
    pub(super) fn apply(&self, staging: &Staging) -> anyhow::Result<Applied> {
        let settings = self.settings();
        let mut staged = staging.writer(settings, &self.new.file)?;
        let ready = tercet_gallery::reader(&staging.vectors())?;
        let todo = pending(self.reader, &*ready)?;
        let ready_before = self.reader.info()?.items as usize - todo.len();
        if ready_before > 0 {
            progress::remark(
                self.general,
                format!("{} vectors are ready from before", count(ready_before)),
            );
        }
        let todo = most_uncertain_first(self.reader, todo)?;
        self.stage_all(&mut *staged, &todo, ready_before)?;

        // From here on nobody else changes the gallery. What was added in the meantime is staged now.
        let mut writer = self.upgrade.waiting.writer(self.general, &self.upgrade.gallery)?;
        self.reader.refresh()?;
        ready.refresh()?;
        let late = pending(self.reader, &*ready)?;
        self.stage_all(&mut *staged, &late, 0)?;
        ready.refresh()?;
        let had_index = self.reader.info()?.index.is_some();
        let switched = writer.switch(&*ready, &self.new.file, self.plan.carried.as_ref())?;
        drop((staged, ready));
        staging.discard()?;
        let index_built = had_index && cfg!(feature = "hnsw");
        if index_built {
            let spinner = progress::spinner(self.general, "building the index");
            let built = writer.build_index(Hnsw::default());
            spinner.finish_and_clear();
            built.context("the gallery was upgraded, but its index could not be built again")?;
        }
        writer.measure_codes()?;
        Ok(Applied { action: self.plan.apply, switched, ready_before, index_built })
    }

    /// The settings of the gallery after the upgrade.
    fn settings(&self) -> Settings {
        let card = &self.new.model.card;
        Settings {
            dimensions: card.dimensions(),
            metric: self.new.model.metric(),
            model: self.new.model.fingerprint.clone(),
            quantization: None,
        }
    }

    /// Stages the vectors of all of these items.
    fn stage_all(
        &self,
        staged: &mut dyn WriteGallery,
        todo: &[Pending],
        ready: usize,
    ) -> anyhow::Result<()> {
        let computes =
            |item: &Pending| self.plan.apply == Apply::Backfill && self.pictures.has(&item.id);
        let (computed, carried): (Vec<&Pending>, Vec<&Pending>) =
            todo.iter().partition(|item| computes(item));
        let bar = progress::bar(self.general, "vectors", todo.len());
        let (mut done, mut piece) = (0, ITEMS[0]);
        for (items, compute) in [(computed, true), (carried, false)] {
            let mut rest = &items[..];
            while !rest.is_empty() {
                let began = Instant::now();
                let (now, later) = rest.split_at(piece.min(rest.len()));
                match compute {
                    true => self.compute(staged, now)?,
                    false => self.carry(staged, now)?,
                }
                rest = later;
                done += now.len();
                bar.set_position(done as u64);
                if done < todo.len() && interrupt::asked().is_break() {
                    bar.finish_and_clear();
                    return Err(self.interrupted(ready + done, ready + todo.len()));
                }
                let pace = PIECE.as_secs_f64() / began.elapsed().as_secs_f64().max(1e-3);
                piece = ((now.len() as f64 * pace) as usize).clamp(ITEMS[0], ITEMS[1]);
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Stages vectors that the new model computes; those whose pictures cannot be read are carried
    /// over.
    fn compute(&self, staged: &mut dyn WriteGallery, items: &[&Pending]) -> anyhow::Result<()> {
        let ids: Vec<&str> = items.iter().map(|item| item.id.as_str()).collect();
        let (rows, vectors) = self.pictures.embed(self.general, &self.new.model, &ids)?;
        let computed: Vec<&Pending> = rows.iter().map(|&row| items[row]).collect();
        stage(staged, &computed, &vectors, None)?;
        let lost: Vec<&Pending> =
            (0..items.len()).filter(|row| !rows.contains(row)).map(|row| items[row]).collect();
        self.carry(staged, &lost)
    }

    /// Stages vectors that are mapped by the adapter, or kept as they are.
    fn carry(&self, staged: &mut dyn WriteGallery, items: &[&Pending]) -> anyhow::Result<()> {
        if items.is_empty() {
            return Ok(());
        }
        if self.plan.carried.is_none() {
            anyhow::bail!(
                "the picture of `{}` does not exist any more, and there is no adapter for its vector: restore it, or discard this upgrade with: {}; the gallery is unchanged",
                items[0].id,
                shell::command(["tercet", "upgrade", &self.upgrade.gallery, "--rollback"])
            );
        }
        let ids: Vec<&str> = items.iter().map(|item| item.id.as_str()).collect();
        let old: Array2<f32> = self.reader.vectors(&ids)?;
        let (rows, origin) = self.plan.carry(old)?;
        anyhow::ensure!(rows.len_of(Axis(0)) == items.len(), "a vector is missing");
        stage(staged, items, &rows, Some(origin))
    }

    fn interrupted(&self, ready: usize, all: usize) -> anyhow::Error {
        Interrupted(format!(
            "interrupted: {} of {} new vectors are ready, and searches use the old ones; continue with: {}",
            count(ready),
            count(all),
            self.upgrade.again()
        ))
        .into()
    }
}
